"""DSPy's optimizers print and draw bars; a worker's output is a log."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from types import SimpleNamespace
from typing import Any

_PRINTING = ("bootstrap", "random_search", "copro_optimizer", "mipro_optimizer_v2", "simba", "utils")


class NoBar:
    """What a progress bar can do, without the bar."""

    _instances: set[Any] = set()  # noqa: RUF012  DSPy clears it

    def __init__(self, iterable: Iterable[Any] = (), **_options: Any) -> None:
        self.iterable = iterable

    def __iter__(self) -> Iterator[Any]:
        return iter(self.iterable)

    def __getattr__(self, name: str) -> Any:
        return _nothing


def quieten() -> None:
    """Take `print` and the bars out of the modules of DSPy's optimizers, in this process."""
    for name in _PRINTING:
        vars(import_module(f"dspy.teleprompt.{name}"))["print"] = _nothing
    with suppress(ImportError):
        from optuna.exceptions import ExperimentalWarning

        warnings.filterwarnings("ignore", category=ExperimentalWarning)
    for name in ("dspy.teleprompt.bootstrap", "dspy.utils.parallelizer"):
        vars(import_module(name))["tqdm"] = SimpleNamespace(tqdm=NoBar)


def _nothing(*_arguments: Any, **_options: Any) -> None:
    return None
