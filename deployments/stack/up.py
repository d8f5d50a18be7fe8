"""Start every process of the local stack, wait until each is ready, and end them all."""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

from deployments.stack.child import Child, Command
from deployments.stack.output import keep_small, new_lines
from deployments.stack.plan import Plan
from deployments.stack.presence import note_stack, only_stack
from deployments.stack.probes import Probes
from deployments.stack.report import Report
from deployments.stack.supervision import Probe, Supervised, keep_running, run_once

ROTATION_SECONDS = 5
SHOW_SECONDS = 0.2
# Prefect's server ends last, because workers tell it how their runs ended; it needs no longer than this.
SERVER_STOP_SECONDS = 6


@asynccontextmanager
async def stack_up(plan: Plan, report: Report, *, verbose: bool = False) -> AsyncIterator[None]:
    """Run the stack for the length of the block, which begins when everything is ready.

    A process that dies is started again. Whatever ends the block, no process is left behind.

    Args:
        plan: what to run.
        report: told what happens.
        verbose: hand every log line of every process to the report.

    Raises:
        Conflict: a stack of this state folder is up already.
        StackBroken: a process cannot be brought up, at the start or later.
    """
    with only_stack(plan.folder):
        note_stack(plan.folder, plan.api_url, plan.prefect_api_url)
        stack = _Stack(plan, report, verbose=verbose)
        try:
            await stack.start()
            yield
        except asyncio.CancelledError:
            if stack.broken is None:
                raise
            raise stack.broken from None
        finally:
            await stack.stop()


class _Stack:
    """The processes under way, and the tasks that look after them."""

    def __init__(self, plan: Plan, report: Report, *, verbose: bool) -> None:
        self.plan = plan
        self.broken: BaseException | None = None
        self._report = report
        self._verbose = verbose
        self._owner = asyncio.current_task()
        self._lifeline, self._our_end = os.pipe()
        self._probes = Probes(plan.api_url, plan.prefect_api_url)
        self._children: list[Child] = []
        self._kept: list[Supervised] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Bring everything up, in parallel where nothing waits for anything."""
        plan, probes = self.plan, self._probes
        self._look_after(self._keep_logs_small())
        migrated = self._once(plan.migrate)
        prefect = self._keep(plan.prefect, probes.prefect_answers) if plan.prefect else None
        registered = self._once(plan.register)
        await migrated.wait()
        api = self._keep(plan.api, probes.api_answers)
        if prefect:
            await prefect.ready.wait()
        workers = [self._keep(worker, probes.worker_works) for worker in plan.workers]
        for each in (registered, api.ready, *(worker.ready for worker in workers)):
            await each.wait()

    async def stop(self) -> None:
        """End every process: asked first, killed after a while or if we are interrupted again."""
        server = [it.child for it in self._kept if it.child.command is self.plan.prefect]
        others = [child for child in self._children if child not in server]
        for it in self._kept:
            it.stopping = True
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await _end(others, self.plan.settings.stack_stop_seconds)
            await _end(server, SERVER_STOP_SECONDS)
        finally:
            for child in self._children:
                child.kill()
            os.close(self._our_end)
            os.close(self._lifeline)
            await self._probes.close()

    def _once(self, command: Command) -> asyncio.Event:
        done = asyncio.Event()

        async def run() -> None:
            await run_once(child, self._report)
            done.set()

        child = self._child(command)
        self._look_after(run())
        return done

    def _keep(self, command: Command, probe: Probe) -> Supervised:
        it = Supervised(self._child(command), probe)
        self._kept.append(it)
        self._look_after(keep_running(it, self._report, self.plan.settings.stack_start_seconds))
        return it

    def _child(self, command: Command) -> Child:
        log = self.plan.folder / "logs" / f"{command.name}.log"
        child = Child(command, log, self._lifeline, self.plan.settings.stack_stop_seconds)
        self._children.append(child)
        if self._verbose:
            self._look_after(self._show(child))
        return child

    async def _show(self, child: Child) -> None:
        position = child.log.stat().st_size if child.log.exists() else 0
        while True:
            lines, position = new_lines(child.log, position)
            for line in lines:
                self._report.line(f"{child.name:18} | {line}")
            await asyncio.sleep(SHOW_SECONDS)

    async def _keep_logs_small(self) -> None:
        while True:
            for child in self._children:
                keep_small(child.log, self.plan.settings.stack_log_bytes)
            await asyncio.sleep(ROTATION_SECONDS)

    def _look_after(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Remember what broke, and end the block that the stack is up for."""
        if task.cancelled() or self.broken or (problem := task.exception()) is None:
            return
        self.broken = problem
        if self._owner:
            self._owner.cancel()


async def _end(children: Iterable[Child], seconds: float) -> None:
    """Ask processes to end, and wait that long at most."""
    running = [child for child in children if child.running]
    for child in running:
        child.ask_to_stop()
    if running:
        await asyncio.wait([asyncio.create_task(child.wait()) for child in running], timeout=seconds)
