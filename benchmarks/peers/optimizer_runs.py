"""One optimizer, run as a process: `python -m benchmarks.peers.optimizer_runs plain|litellm|durable ...`.

The same optimizer on the same examples with the same seed. Each round prints one line of JSON: milliseconds
from the call of the optimizer to its program, without imports; model calls; the program's hash and its score.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import dspy
from pydantic import SecretStr

from contracts.optimization import BootstrapRandomSearch
from contracts.pipelines import OPTIMIZE
from contracts.program_states import checked_state, content_hash
from contracts.runs import Origin, RunStatus
from database.engine import Database, open_database
from database.queue.reaper import reap_workers
from database.queue.runs import accept_run
from database.settings import DatabaseSettings
from flows.learning.optimizers import ERRORS, Lesson, compiled
from flows.learning.quiet import quieten
from flows.learning.teaching import as_dspy, without_strangers
from llm.quiet_litellm import imported
from modules.programs import PROGRAMS, signature_of, state_of
from tests.fixtures.optimizing import DOOMED, TRAIN, VALIDATION, attempt, improved, ledger_of
from tests.fixtures.shipped_examples import NAME

THREADS = 4
CHOICE = BootstrapRandomSearch(candidates=4, bootstrapped=4, labeled=8)


def at_once() -> None:
    """Wait for nothing before a round."""


def ordered() -> None:
    """Wait for a line on stdin before a round: the ways that are compared take turns."""
    sys.stdin.readline()


def say(began: float, calls: int, state: Any, score: float | None) -> None:
    """Print what a round came to."""
    told = {
        "ms": (perf_counter() - began) * 1000,
        "calls": calls,
        "hash": None if state is None else content_hash(state),
        "score": score,
    }
    print(json.dumps(told), flush=True)


def plain(url: str, rounds: int, engine: str = "auto", turn: Callable[[], None] = at_once) -> None:
    """Run it as DSPy is used without Millrace: its own client, or LiteLLM by DSPy's engine; its cache off."""
    kind = PROGRAMS[NAME]
    if engine == "litellm":
        imported()
    told = {"api_base": url, "api_key": "none", "num_retries": 0, "cache": False, "max_tokens": 300}
    lm = dspy.LM("openai/loop", engine=engine, **told)
    quieten()

    def exact(example: Any, prediction: Any, trace: Any = None) -> float:
        del trace
        return float(prediction.label == example.label)

    for _ in range(rounds):
        turn()
        program = kind.build()
        lesson = Lesson(
            program=program,
            train=[as_dspy(kind, one) for one in TRAIN],
            validation=[as_dspy(kind, one) for one in VALIDATION],
            metric=exact,
            reflector=lm,
            seed=0,
            threads=THREADS,
        )
        with dspy.context(lm=lm, disable_history=True, trace=None, max_errors=ERRORS):
            began = perf_counter()
            found = compiled(CHOICE, lesson)
        signature = signature_of(program)
        state = checked_state(without_strangers(state_of(found), signature), signature)
        scores = [one["score"] for one in vars(found)["candidate_programs"]]
        say(began, 0, state, max(scores) / 100)


async def durable(
    database_url: str, providers: Path, rounds: int, *, resume: bool, turn: Callable[[], None] = at_once
) -> None:
    """Run it as the step of the pipeline `optimize` does: ledger, caps, events, cancellation."""
    database = open_database(DatabaseSettings(database_url=SecretStr(database_url)))
    for _ in range(rounds):
        await asyncio.to_thread(turn)
        if resume:
            await database.write(reap_workers, [DOOMED])
        else:
            await accept(database)
        async with attempt(database, providers, DOOMED) as run:
            began = perf_counter()
            found = await improved(run, CHOICE)
            ended = perf_counter()
            calls = len(await ledger_of(run))
            # Left under way, it would be what the next start of this process resumes.
            await run.end(RunStatus.SUCCEEDED, result={})
        say(began + perf_counter() - ended, calls, found.state, found.score)
    await database.close()


async def accept(database: Database) -> None:
    """Accept a run to be claimed."""
    await database.write(
        accept_run, pipeline=OPTIMIZE.name, pool="batch", params={}, owner="local", origin=Origin.API
    )


def main() -> None:
    """Run the rounds that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("how", choices=("plain", "litellm", "durable"))
    parser.add_argument("--url", default="")
    parser.add_argument("--database", default="")
    parser.add_argument("--providers", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--ordered", action="store_true")
    told = parser.parse_args()
    turn = ordered if told.ordered else at_once
    if told.how == "durable":
        asyncio.run(durable(told.database, told.providers, told.rounds, resume=told.resume, turn=turn))
    else:
        plain(told.url, told.rounds, "litellm" if told.how == "litellm" else "auto", turn)


if __name__ == "__main__":
    main()
