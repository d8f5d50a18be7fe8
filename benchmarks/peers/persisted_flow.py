"""The peer of benchmarks/recovery.py: plain Prefect that keeps the results of its tasks, as its docs advise.

benchmarks/peers/prefect_results.py copies this file into a temporary folder, as a user's project would be.
Each task asks the model once over HTTP. A task's result is stored under its inputs and its flow run: a flow
run that is executed again loads what was stored; what was not stored yet is asked, and paid, again.
"""

import json
import urllib.request

from prefect import flow, task
from prefect.cache_policies import INPUTS, RUN_ID


@task(persist_result=True, cache_policy=INPUTS + RUN_ID)
def ask(number: int, url: str) -> str:
    """Ask the model to repeat something; one call, paid."""
    asked = {"model": "bench", "messages": [{"role": "user", "content": f"mark-0000000000ff step {number}"}]}
    request = urllib.request.Request(  # noqa: S310  an address of ours on loopback
        f"{url}/chat/completions", json.dumps(asked).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  an address of ours on loopback
        return str(json.load(answer)["choices"][0]["message"]["content"])


@flow(persist_result=True)
def persisted_flow(url: str, steps: int = 20) -> int:
    """Ask once in each step, one after the other."""
    for number in range(1, steps + 1):
        ask(number, url)
    return steps
