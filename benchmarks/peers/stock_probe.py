"""What the stock worker runs: the same 3 no-op steps as flows/probe.py, with the same libraries imported.

benchmarks/peers/stock_prefect.py copies this file into a temporary folder, as a user's project would be.
"""

import time
from pathlib import Path

import dspy  # noqa: F401  a pipeline of agents needs them
import litellm  # noqa: F401
from prefect import flow, task
from prefect.cache_policies import NO_CACHE


@task(cache_policy=NO_CACHE)
async def nothing(number: int) -> int:
    """Do nothing."""
    return number


@flow
async def stock_probe(mark: str, steps: int = 3) -> int:
    """Write the time of the first line to the file `mark`, then run the steps one after the other."""
    first_line_at = time.time()
    for number in range(steps):
        await nothing(number)
    Path(mark).write_text(str(first_line_at), encoding="utf-8")  # noqa: ASYNC240  nobody else waits here
    return steps
