"""Metrics by name: those of ours, and those of allow-listed packages by their path."""

import json
import math
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

from flows.settings import FlowSettings
from modules.metrics import Metric, exact, f1
from modules.programs import as_json
from runtime.errors import BadInput, MillraceError

JUDGED = frozenset({"semantic_f1", "judge"})
OURS: dict[str, Metric] = {"exact": exact, "f1": f1}


def metric_named(name: str) -> Metric:
    """Return a metric that needs no model.

    Raises:
        BadInput: `unknown_metric`, with what there is and what is allowed.
    """
    if name in OURS:
        return OURS[name]
    module, _, function = name.partition(":")
    allowed = [each.strip() for each in FlowSettings().metrics_from.split(",") if each.strip()]
    if not any(module == each or module.startswith(f"{each}.") for each in allowed):
        raise BadInput(
            f"The metric {name} is not allowed: METRICS_FROM names {', '.join(allowed) or 'no package'}.",
            "unknown_metric",
        )
    found = getattr(_imported(module, name), function, None)
    if found is None:
        raise _not_there(name)
    return found  # type: ignore[no-any-return]


def scored(metric: Metric, name: str, expected: dict[str, Any], given: dict[str, Any]) -> float:
    """Return a metric's score.

    Raises:
        MillraceError: `metric_failed`, it raised or gave something else than a number from 0 to 1.
    """
    try:
        score = float(metric(expected, given))
    except Exception as error:
        raise MillraceError(
            f"The metric {name} failed with {type(error).__name__} on fields {', '.join(expected)}.",
            "metric_failed",
        ) from error
    if not math.isfinite(score) or not 0 <= score <= 1:
        raise MillraceError(f"The metric {name} gave {score}; a score is 0 to 1.", "metric_failed")
    return score


def tried(name: str, expected: Sequence[dict[str, Any]]) -> None:
    """Try a metric on everything that is expected, against itself, before any money is spent.

    Raises:
        BadInput: `unknown_metric` or `metric_failed`.
    """
    if name in JUDGED:
        return
    metric = metric_named(name)
    for one in expected:
        try:
            scored(metric, name, one, one)
        except MillraceError as error:
            told = f"{error.message} It was tried on what an example expects, against itself."
            raise BadInput(told, error.code) from error


def _imported(module: str, name: str) -> ModuleType:
    """Return the module of a metric, whatever somebody else's code does when it is imported.

    Raises:
        BadInput: `unknown_metric`. The error's own text is not told: it may hold anything.
    """
    try:
        return import_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001  a script may even leave when it is imported
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            raise _not_there(name) from None
        raise BadInput(
            f"The metric {name} cannot be loaded: importing {module} ended with {type(error).__name__}."
            " Import it by hand in the worker's environment, and mend what is told there.",
            "unknown_metric",
        ) from None


def _not_there(name: str) -> BadInput:
    return BadInput(f"There is no metric {name} in this worker.", "unknown_metric")


def as_text(fields: dict[str, Any]) -> str:
    """Return fields as a judge reads them: a single text as it is, everything else with its names."""
    if len(fields) == 1 and isinstance(value := next(iter(fields.values())), str):
        return value
    return json.dumps(fields, ensure_ascii=False, indent=1, default=as_json)
