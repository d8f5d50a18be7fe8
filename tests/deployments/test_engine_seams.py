"""The warm worker leans on internals of Prefect; a release that moves them fails here, not in production."""

import asyncio
import inspect
import logging
from types import SimpleNamespace

import prefect.flow_engine
import prefect.results
import pytest
from prefect.client.schemas.objects import State
from prefect.states import Failed, Running
from prefect.utilities.dispatch import lookup_type
from prefect.workers.base import BaseWorker

from deployments.worker.engine_seams import (
    LOGGER,
    RESULT_STORAGE,
    SEAMS,
    TELL,
    not_of_parking,
    own_the_process,
)
from deployments.worker.prefect_worker import MillraceWorker
from flows.durable.run import enter_run


def test_the_engine_still_sets_up_what_the_worker_takes_over() -> None:
    """Both are used as context managers around every run, by their name in the engine's module."""
    for name in SEAMS:
        assert f"{name}(" in inspect.getsource(prefect.flow_engine)
    assert f"{RESULT_STORAGE}()" in inspect.getsource(prefect.results)
    assert f"await {TELL}(" in inspect.getsource(prefect.flow_engine.AsyncFlowRunEngine.set_state)


def test_owning_the_process_leaves_nothing_of_them() -> None:
    before = {name: getattr(prefect.flow_engine, name) for name in (*SEAMS, TELL)}
    storage = getattr(prefect.results, RESULT_STORAGE)
    try:
        own_the_process()
        for name in SEAMS:
            with getattr(prefect.flow_engine, name)("any", "arguments") as nothing:
                assert nothing is None
        assert getattr(prefect.results, RESULT_STORAGE)() is None
    finally:
        logging.getLogger(LOGGER).removeFilter(not_of_parking)
        setattr(prefect.results, RESULT_STORAGE, storage)
        for name, original in before.items():
            setattr(prefect.flow_engine, name, original)


@pytest.mark.parametrize(
    ("parked", "state", "logged"),
    [(True, Running(), False), (False, Running(), True), (True, Failed(message="no"), True)],
)
async def test_a_run_that_parks_logs_no_error(parked: bool, state: State, logged: bool) -> None:
    """Prefect's engine called every wait an error: "Finished in state Running()"."""
    assert 'f"Finished in state {display_state}"' in inspect.getsource(prefect.flow_engine)

    async def said() -> bool:
        enter_run(SimpleNamespace(parked=True if parked else None))  # type: ignore[arg-type]
        line = logging.LogRecord(LOGGER, logging.ERROR, "", 0, f"Finished in state {state}", None, None)
        return not_of_parking(line)

    assert await asyncio.create_task(said()) is logged


def test_the_methods_that_the_worker_replaces_are_still_called_by_the_base_class() -> None:
    submit = inspect.getsource(vars(BaseWorker)["_submit_scheduled_flow_runs"])
    assert "self._submit_run" in submit
    assert "acquire_on_behalf_of_nowait" in submit
    for name in ("setup", "teardown", "_submit_run", "run"):
        assert name in vars(MillraceWorker)
        assert name in vars(BaseWorker)


def test_prefect_finds_the_worker_type_by_its_entry_point() -> None:
    """`prefect worker start --type millrace` works because of it."""
    assert lookup_type(BaseWorker, "millrace") is MillraceWorker
