"""An application behind a real server on loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import uvicorn
from fastapi import FastAPI

from tests.api.worker import until


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """Serve a started application on a free port of loopback."""

    class Quiet(uvicorn.Server):
        def capture_signals(self):
            return nullcontext()

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=2)
        server = Quiet(config)
        task = asyncio.create_task(server.serve([listening]))
        await until(lambda: server.started)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await task
