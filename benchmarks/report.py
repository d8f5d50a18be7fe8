"""What every benchmark says in the same words: the machine, percentiles, bars, one line of JSON at the end.

A script calls `bench` with a function that measures. People read lines on stderr while it works; a program
reads the last line of stdout:

    {"name", "quick", "machine", "measured": {...}, "peers": {...},
     "bars": {BAR: {"value", "unit", "bar", "holds"}}}

A bar is reported and never asserted: machines are noisy. `holds` is null where nothing could be measured.
"""

import argparse
import json
import math
import operator
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.machine import machine

DatabaseKind = Literal["sqlite", "mariadb"]
COMPARISONS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. `databases` are the results databases to measure on, the first one first."""

    quick: bool
    databases: tuple[DatabaseKind, ...]


@dataclass(slots=True)
class Report:
    """What one script found out."""

    name: str
    quick: bool = False
    measured: dict[str, Any] = field(default_factory=dict)
    peers: dict[str, Any] = field(default_factory=dict)
    bars: dict[str, dict[str, Any]] = field(default_factory=dict)

    def say(self, line: str) -> None:
        """Tell a person something now."""
        print(line, file=sys.stderr, flush=True)

    def bar(self, name: str, value: float | None, bar: str, unit: str) -> None:
        """Hold a value against a bar such as `<= 150`."""
        holds = None if value is None else meets(rounded(value), bar)
        self.bars[name] = {"value": rounded(value), "unit": unit, "bar": bar, "holds": holds}
        shown = "not measured" if value is None else f"{rounded(value):g} {unit}"
        verdict = {True: "holds", False: "MISSED", None: "unknown"}[holds]
        self.say(f"  bar {name}: {shown} (bar {bar} {unit}): {verdict}")

    def as_line(self, about_machine: dict[str, Any]) -> str:
        """Return the whole report as one line of JSON."""
        whole = {
            "name": self.name,
            "quick": self.quick,
            "machine": about_machine,
            "measured": self.measured,
            "peers": self.peers,
            "bars": self.bars,
        }
        return json.dumps(rounded(whole), allow_nan=False)


def bench(
    name: str,
    description: str,
    measure: Callable[[Options, Report], None],
    databases: Sequence[DatabaseKind] = (),
    arguments: Sequence[str] | None = None,
) -> None:
    """Read the command line, measure, and print the report.

    SIGTERM and a closed terminal end it as Ctrl-C does: by an exception, so that everything is cleaned up.

    Args:
        name: of the script.
        description: for `--help`.
        measure: fills the report.
        databases: which results databases it measures on by default; none when it uses none.
        arguments: the command line, by default the process's own.
    """
    options = _options(description, databases, arguments)
    handlers = {
        signal.SIGTERM: _as_interrupt,
        signal.SIGHUP: _as_interrupt,
        # A shell that starts us in the background has it ignored.
        signal.SIGINT: signal.default_int_handler,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    report = Report(name, quick=options.quick)
    about = machine()
    report.say(f"{name}{' (quick)' if options.quick else ''}: {about['cpu']}, {about['cores']} cores")
    try:
        measure(options, report)
    except KeyboardInterrupt:
        report.say("Stopped.")
        sys.exit(130)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    print(report.as_line(about), flush=True)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the values lie, interpolated between neighbours.

    Source: R-7 of Hyndman and Fan (1996), what numpy and spreadsheets do by default.
    """
    if not values:
        raise ValueError("there is no percentile of nothing")
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the 95th percentile, the extremes and the number of values."""
    return {
        "n": len(values),
        "p50": percentile(values, 0.5),
        "p95": percentile(values, 0.95),
        "min": min(values),
        "max": max(values),
    }


def ratio(peer: float | None, ours: float | None) -> float | None:
    """Return how many times ours fits into the peer's; none where one of them is missing or nothing."""
    return peer / ours if peer and ours else None


def meets(value: float, bar: str) -> bool:
    """Return whether a value meets a bar such as `>= 6`."""
    sign, limit = bar.split()
    return COMPARISONS[sign](value, float(limit))


def rounded(value: Any) -> Any:
    """Return JSON-ready data with floats to three decimals: more would be noise."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return round(value, 3) if isinstance(value, float) else value


def _options(description: str, databases: Sequence[DatabaseKind], arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a short form: ends within 60 s")
    if databases:
        parser.add_argument(
            "--database",
            choices=("sqlite", "mariadb"),
            help=f"measure on this results database only (default: {', '.join(databases)})",
        )
    told = parser.parse_args(arguments)
    chosen = getattr(told, "database", None)
    return Options(told.quick, (chosen,) if chosen else tuple(databases))


def _as_interrupt(_number: int, _frame: Any) -> None:
    # Raised as a signal and not as an exception: asyncio.run has its own way to end at SIGINT.
    signal.raise_signal(signal.SIGINT)
