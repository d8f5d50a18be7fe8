"""What Prefect's flow engine does once per process and must not do once per run in ours.

Stock Prefect gives each flow run its own process. In the warm worker many runs share one, so two things
that the engine sets up around every run are the worker's own business here. Both are module globals of
`prefect.flow_engine` 3.8; tests/deployments/test_engine_seams.py fails when a release moves them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import prefect.flow_engine

SEAMS = ("capture_sigterm", "observe_flow_run_suspension")


def own_the_process() -> None:
    """Take signals and the watch for suspensions out of the flow engine's hands.

    - `capture_sigterm` replaces the process's SIGTERM handler while a run is in flight, and interleaved
      runs restore it in the wrong order: the worker would not drain.
    - `observe_flow_run_suspension` starts a thread with its own event loop and web socket for every run
      (FACTS: about 10 ms of CPU each); the worker's one subscription sees the same events.
    """
    for name in SEAMS:
        getattr(prefect.flow_engine, name)
        setattr(prefect.flow_engine, name, _left_to_the_worker)


@contextmanager
def _left_to_the_worker(*_args: Any, **_kwargs: Any) -> Iterator[None]:
    yield
