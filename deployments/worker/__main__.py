"""One worker process: `millrace worker --pool interactive`, or `python -m deployments.worker`."""

import argparse
import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor

from contracts.pipelines import PIPELINES
from deployments.prefect_environment import apply_prefect_environment
from deployments.worker.settings import WorkerSettings
from runtime.log import configure_logging
from runtime.screening import screen_named

POOLS = sorted({pipeline.pool for pipeline in PIPELINES.values()})


def run_worker(pool: str, limit: int | None = None) -> None:
    """Run one worker until SIGTERM or Ctrl-C; runs in flight get time to finish.

    Args:
        pool: the work pool, `interactive` or `batch`.
        limit: runs in flight at once; by default `WORKER_CONCURRENCY`.
    """
    apply_prefect_environment()
    configure_logging(f"worker-{pool}")
    asyncio.run(_serve(pool, limit))


async def _serve(pool: str, limit: int | None) -> None:
    # Late: importing Prefect reads its environment, once.
    from deployments.worker.prefect_worker import MillraceWorker, worker_name
    from flows.settings import FlowSettings

    # A screen that is not there is told at the start, and not by the first answer.
    screen_named(FlowSettings().screen_answers)
    loop = asyncio.get_running_loop()
    # DSPy hops through the default executor several times a call; its 6 threads on 2 cores would queue.
    loop.set_default_executor(ThreadPoolExecutor(WorkerSettings().worker_threads, "blocking"))
    worker = MillraceWorker(pool, name=worker_name(pool), limit=limit)
    working = asyncio.create_task(worker.start(printer=lambda _line: None), name="worker")
    for ending in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(ending, working.cancel)
    try:
        await working
    except asyncio.CancelledError:
        return


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Run one warm worker.")
    parser.add_argument("--pool", choices=POOLS, default="interactive")
    parser.add_argument("--limit", type=int, default=None, help="runs in flight at once")
    arguments = parser.parse_args()
    run_worker(arguments.pool, arguments.limit)


if __name__ == "__main__":
    main()
