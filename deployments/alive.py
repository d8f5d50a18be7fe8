"""`python -m deployments.alive`: does a worker of this host work? For a container's health check.

It asks the database, where each worker writes every few seconds that it is there: a process that hangs
still exists, but it does not write.
"""

import asyncio
import socket
import sys

from database.engine import open_database
from database.queue.workers import SEEN_WITHIN_SECONDS, live_workers
from database.settings import DatabaseSettings
from runtime.errors import MillraceError


async def worker_alive(host: str) -> bool:
    """Whether a worker on this host was seen within the last 15 s.

    Raises:
        MillraceError: the database does not answer.
    """
    database = open_database(DatabaseSettings())
    try:
        async with database.read() as session:
            return any(worker.host == host for worker in await live_workers(session, SEEN_WITHIN_SECONDS))
    finally:
        await database.close()


def main() -> None:
    """Exit with 0 when a worker works here, with 1 and a reason when not."""
    try:
        alive = asyncio.run(worker_alive(socket.gethostname()))
    except MillraceError as problem:
        sys.exit(problem.message)
    if not alive:
        sys.exit(f"No worker of {socket.gethostname()} was seen for {SEEN_WITHIN_SECONDS} s.")


if __name__ == "__main__":
    main()
