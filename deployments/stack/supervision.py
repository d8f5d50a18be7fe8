"""Keep a process of the stack alive: wait until it is ready, start it again when it dies, give up in time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from deployments.stack.child import Child
from deployments.stack.output import last_lines
from deployments.stack.report import Report
from deployments.stack.watched import BAD_CONFIGURATION
from runtime.errors import MillraceError

MOST_FAILED_STARTS = 3
# A process that lived this long was well: the next death is the first again.
WELL_SECONDS = 60
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10
PROBE_SECONDS = 0.15

Probe = Callable[[Child], Awaitable[bool]]


class StackBroken(MillraceError):
    """A process cannot be brought up; says which, and the end of its log."""

    code = "stack_broken"


@dataclass(slots=True)
class Supervised:
    """A process that is kept running, with how to see that it is ready."""

    child: Child
    probe: Probe
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: bool = False


async def run_once(child: Child, report: Report) -> None:
    """Run a process that ends by itself.

    Raises:
        StackBroken: it failed.
    """
    report.begins(child.name)
    await child.start()
    if code := await child.wait():
        raise _broken(child, f"failed ({_in_words(code)})")
    report.ready(child.name)


async def keep_running(it: Supervised, report: Report, start_seconds: float) -> None:
    """Start a process, set `ready` once it is, and start it again whenever it dies, until it is stopped.

    Once it was ready it is never given up: what it needs may be away for a while, and the others work on.

    Raises:
        StackBroken: it was not ready in time at the first start, died at three starts in a row before it
            ever was, or is configured badly.
    """
    loop = asyncio.get_running_loop()
    failed_starts = 0
    while True:
        report.begins(it.child.name)
        began = loop.time()
        await it.child.start()
        if await _became_ready(it, start_seconds, report):
            it.ready.set()
            report.ready(it.child.name)
        code = await it.child.wait()
        if it.stopping:
            return
        failed_starts = 1 if loop.time() - began > WELL_SECONDS else failed_starts + 1
        if code == BAD_CONFIGURATION or (failed_starts >= MOST_FAILED_STARTS and not it.ready.is_set()):
            raise _broken(it.child, f"ended at its start ({_in_words(code)})")
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(failed_starts - 1, 10))
        report.line(f"{it.child.name}: ended ({_in_words(code)}); starts again in {pause:.1f} s")
        await asyncio.sleep(pause)


async def _became_ready(it: Supervised, seconds: float, report: Report) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while it.child.running:
        if await it.probe(it.child):
            return True
        if loop.time() > deadline and not it.ready.is_set():
            raise _broken(it.child, f"was not ready within {seconds:.0f} s")
        if loop.time() > deadline:
            report.line(f"{it.child.name}: not ready within {seconds:.0f} s")
            it.child.ask_to_stop()
            return False
        await asyncio.sleep(PROBE_SECONDS)
    return False


def _broken(child: Child, what: str) -> StackBroken:
    lines = "\n".join(f"  {line}" for line in last_lines(child.log, 12))
    return StackBroken(
        f"{child.name} {what}. The end of {child.log}:\n{lines}",
        detail={"process": child.name, "log": str(child.log)},
    )


def _in_words(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
