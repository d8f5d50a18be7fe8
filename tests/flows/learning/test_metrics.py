"""Metrics by their path: what a worker finds there, and what it says where it finds none."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.learning.metrics import metric_named
from runtime.errors import BadInput

SECRET = "sk-in-the-message"
HALF = "def half(expected, given):\n    return 0.5\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An allowed package of somebody else, on the worker's path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("METRICS_FROM", "their_metrics")
    made = tmp_path / "their_metrics"
    made.mkdir()
    (made / "__init__.py").write_text("")
    yield made
    for name in [each for each in sys.modules if each.partition(".")[0] == made.name]:
        del sys.modules[name]


def refused(name: str) -> str:
    with pytest.raises(BadInput) as caught:
        metric_named(name)
    assert caught.value.code == "unknown_metric"
    return caught.value.message


def test_a_metric_of_an_allowed_package_is_found(package: Path):
    (package / "good.py").write_text(HALF)
    assert metric_named("their_metrics.good:half")({}, {}) == 0.5


@pytest.mark.parametrize(
    ("broken", "source", "told"),
    [
        ("misspelt", f"{HALF}def half(:\n", "SyntaxError"),
        ("raising", f"raise RuntimeError({SECRET!r})\n{HALF}", "RuntimeError"),
        ("leaning", f"import a_package_that_is_not_here\n{HALF}", "ModuleNotFoundError"),
        ("leaving", f"import sys\nsys.exit({SECRET!r})\n{HALF}", "SystemExit"),
        ("lacking", f"import math\nmath.no_such_number\n{HALF}", "AttributeError"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_and_is_no_error_of_ours(
    package: Path, broken, source, told
):
    """It was an `internal_error`, which names nothing that its author could change."""
    (package / f"{broken}.py").write_text(source)
    message = refused(f"their_metrics.{broken}:half")
    assert f"importing their_metrics.{broken} ended with {told}." in message
    assert "mend" in message
    assert SECRET not in message


@pytest.mark.parametrize("name", ["their_metrics.nowhere:half", "their_metrics.good:nothing"])
def test_what_is_not_there_is_said_to_be_missing(package: Path, name: str):
    (package / "good.py").write_text(HALF)
    assert refused(name) == f"There is no metric {name} in this worker."


def test_what_is_not_allowed_is_not_even_imported(package: Path):
    (package.parent / "other.py").write_text("raise RuntimeError")
    assert "METRICS_FROM names their_metrics" in refused("other:half")
