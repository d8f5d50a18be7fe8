"""Many flows of a few tasks at once in one process, against the server of PREFECT_API_URL.

`python -m benchmarks.peers.many_flows FLOWS TASKS CAP_SECONDS` prints one line of JSON. Answers of 503 are
counted below Prefect's client, which repeats such requests by itself and tells nobody.
"""

import asyncio
import json
import logging
import sys
from collections import Counter
from time import perf_counter
from typing import Any

import httpx
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

answers: Counter[int] = Counter()


@task(cache_policy=NO_CACHE)
async def nothing(number: int) -> int:
    """Do nothing."""
    return number


@flow
async def small(tasks: int) -> int:
    """Run tasks one after the other."""
    for number in range(tasks):
        await nothing(number)
    return tasks


async def main(flows: int, tasks: int, cap_seconds: float) -> dict[str, Any]:
    """Run the flows and return what happened."""
    began = perf_counter()
    under_way = [asyncio.create_task(_state_of(tasks)) for _ in range(flows)]
    ended, left = await asyncio.wait(under_way, timeout=cap_seconds)
    seconds = perf_counter() - began
    for each in left:
        each.cancel()
    states = [each.result() for each in ended if each.exception() is None]
    completed = sum(state.is_completed() for state in states)
    return {
        "seconds": seconds,
        "gave_up": bool(left),
        "completed": completed,
        "failed": len(ended) - completed,
        "answers_503": answers[503],
        "requests": answers.total(),
    }


async def _state_of(tasks: int) -> State[int]:
    return await small(tasks, return_state=True)


def count_answers() -> None:
    """Count the status of every answer, those included that the client repeats after."""
    whole = httpx.AsyncHTTPTransport.handle_async_request

    async def counting(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        answer = await whole(transport, request)
        answers[answer.status_code] += 1
        return answer

    httpx.AsyncHTTPTransport.handle_async_request = counting  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    count_answers()
    found = asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
    print(json.dumps(found), flush=True)
