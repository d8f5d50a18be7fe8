"""The warm worker leans on internals of Prefect; a release that moves them fails here, not in production."""

import inspect

import prefect.flow_engine
import prefect.results
from prefect.utilities.dispatch import lookup_type
from prefect.workers.base import BaseWorker

from deployments.worker.engine_seams import RESULT_STORAGE, SEAMS, own_the_process
from deployments.worker.prefect_worker import MillraceWorker


def test_the_engine_still_sets_up_what_the_worker_takes_over() -> None:
    """Both are used as context managers around every run, by their name in the engine's module."""
    for name in SEAMS:
        assert f"{name}(" in inspect.getsource(prefect.flow_engine)
    assert f"{RESULT_STORAGE}()" in inspect.getsource(prefect.results)


def test_owning_the_process_leaves_nothing_of_them() -> None:
    before = {name: getattr(prefect.flow_engine, name) for name in SEAMS}
    storage = getattr(prefect.results, RESULT_STORAGE)
    try:
        own_the_process()
        for name in SEAMS:
            with getattr(prefect.flow_engine, name)("any", "arguments") as nothing:
                assert nothing is None
        assert getattr(prefect.results, RESULT_STORAGE)() is None
    finally:
        setattr(prefect.results, RESULT_STORAGE, storage)
        for name, original in before.items():
            setattr(prefect.flow_engine, name, original)


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
