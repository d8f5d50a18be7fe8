"""A running stack to use: the one that is up, or a new one that ends with its use."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console

from deployments.stack.plan import make_plan
from deployments.stack.presence import running_stack
from deployments.stack.report import report_to
from deployments.stack.up import stack_up
from runtime.home import home


@asynccontextmanager
async def some_stack(console: Console) -> AsyncIterator[dict[str, str]]:
    """Yield the addresses (`api`, `prefect`) of the stack that is up, else of a new one."""
    if stack := running_stack(home()):
        yield {"api": stack.api_url, "prefect": stack.prefect_api_url.removesuffix("/api")}
        return
    async with own_stack(console) as urls:
        yield urls


@asynccontextmanager
async def own_stack(console: Console) -> AsyncIterator[dict[str, str]]:
    """Yield the addresses of a new stack on free ports, with its state in a temporary folder.

    It writes nowhere else: DATABASE_URL and PREFECT_API_URL are not for it.
    """
    with tempfile.TemporaryDirectory(prefix="millrace-demo-", ignore_cleanup_errors=True) as folder:
        os.environ["MILLRACE_HOME"] = folder
        plan = await make_plan(free_ports=True, alone=True)
        report = report_to(console)
        try:
            async with stack_up(plan, report):
                report.settle()
                yield {"api": plan.api_url, "prefect": plan.prefect_ui_url}
        finally:
            report.settle()
