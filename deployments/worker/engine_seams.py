"""What Prefect's flow engine does once per process and must not do once per run in ours.

Stock Prefect gives each flow run its own process. In the warm worker many runs share one, so four things
that the engine does for every run are the worker's own business here. They are module globals of
`prefect.flow_engine` and `prefect.results` 3.8; tests/deployments/test_engine_seams.py fails when a release
moves them.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import prefect.flow_engine
import prefect.results
from prefect.client.schemas.objects import State
from prefect.exceptions import Abort
from prefect.utilities.engine import propose_state

from flows.durable.run import is_fenced, is_parked

LOGGER = "prefect.flow_runs"
LEFT = "Finished in state Running("
TELL = "propose_state"
SEAMS = ("capture_sigterm", "observe_flow_run_suspension")
RESULT_STORAGE = "_read_server_default_result_storage_block_id"


def own_the_process() -> None:
    """Take signals and the watch for suspensions out of the flow engine's hands.

    - `capture_sigterm` replaces the process's SIGTERM handler while a run is in flight, and interleaved
      runs restore it in the wrong order: the worker would not drain.
    - `observe_flow_run_suspension` starts a thread with its own event loop and web socket for every run
      (about 10 ms of CPU each); the worker's one subscription sees the same events.
    - the server's default for storing results is asked for by every run with a new blocking client (27 ms of
      CPU and the loop held meanwhile); no result is stored by Prefect here, so there is nothing to ask.
    - an attempt that is stopped while the engine still begins it is called crashed, by force. One whose lease
      is lost has nothing to tell: the run is another worker's, and may have succeeded there by now.
    """
    for name in SEAMS:
        getattr(prefect.flow_engine, name)
        setattr(prefect.flow_engine, name, _left_to_the_worker)
    getattr(prefect.results, RESULT_STORAGE)
    setattr(prefect.results, RESULT_STORAGE, _no_default_storage)
    getattr(prefect.flow_engine, TELL)
    setattr(prefect.flow_engine, TELL, _propose_if_ours)
    logging.getLogger(LOGGER).addFilter(not_of_parking)


def not_of_parking(record: logging.LogRecord) -> bool:
    """Return whether a line of the engine is to be logged.

    A run that parks leaves the engine in the state Running, which it calls an error of the flow run.
    """
    return not (record.getMessage().startswith(LEFT) and is_parked())


async def _propose_if_ours(*args: Any, **kwargs: Any) -> State[Any]:
    if is_fenced():
        raise Abort("the lease was lost")
    return await propose_state(*args, **kwargs)


@contextmanager
def _left_to_the_worker(*_args: Any, **_kwargs: Any) -> Iterator[None]:
    yield


def _no_default_storage() -> None:
    """Return that the server has no default block for results."""
