"""How much depends on a change of a program: its size, its spread, and what the program does."""

import difflib
from dataclasses import dataclass

from contracts.program_policies import Severity
from contracts.programs import ProgramKind, VersionDiff

# A program whose answers act weighs more than one whose answers are read.
KIND_WEIGHTS = {
    ProgramKind.CLASSIFIER: 0,
    ProgramKind.WRITER: 0,
    ProgramKind.CHAT: 1,
    ProgramKind.TOOLS: 2,
}


@dataclass(frozen=True, slots=True)
class SeverityThresholds:
    """Where a change becomes larger and an effect wider.

    Args:
        rewritten: shares of the words of the instructions from which on a change weighs 1, and 2.
        pipelines: numbers of pipelines that use the program from which on its spread weighs 1, and 2.
        chats: the same for chats of the last month.
        medium: the weight from which on severity is medium.
        high: the same for high.
    """

    rewritten: tuple[float, float] = (0.1, 0.5)
    pipelines: tuple[int, int] = (2, 4)
    chats: tuple[int, int] = (20, 200)
    medium: int = 2
    high: int = 4


USUAL = SeverityThresholds()


@dataclass(frozen=True, slots=True)
class Spread:
    """How much an owner uses a program: pipelines by the catalogue, chats and runs of the last month."""

    pipelines: int
    chats: int
    runs: int


def severity_of(
    diff: VersionDiff,
    kind: ProgramKind,
    spread: Spread,
    thresholds: SeverityThresholds = USUAL,
    *,
    model: str | None = None,
) -> tuple[Severity, list[str]]:
    """Return how much depends on a change, and why.

    Other demos weigh 1, whatever their number: they show the task and do not restate it. Another model
    (`model` is its deployment) weighs 2, though no word changed. Where tools act, severity is never low.
    """
    rewritten = max((_rewritten(each) for each in _texts(diff)), default=0.0)
    demos = sum(len(one.demos_added) + len(one.demos_removed) for one in diff.predictors)
    size = max(_weight(rewritten, thresholds.rewritten), 1 if demos else 0, 0 if model is None else 2)
    wide = max(_weight(spread.pipelines, thresholds.pipelines), _weight(spread.chats, thresholds.chats))
    total = size + wide + KIND_WEIGHTS[kind]
    reasons = [
        f"{rewritten:.0%} of the words of an instruction or a field changed, {demos} demos added or removed.",
        f"{spread.pipelines} pipelines use it; in the last month {spread.runs} runs, {spread.chats} chats.",
        f"It is a program of the kind `{kind}`.",
    ]
    if model is not None:
        reasons.append(f"It takes the program to another model: {model or 'as the route of its role says'}.")
    if total >= thresholds.high:
        return Severity.HIGH, reasons
    if total >= thresholds.medium or kind is ProgramKind.TOOLS:
        return Severity.MEDIUM, reasons
    return Severity.LOW, reasons


def _texts(diff: VersionDiff) -> list[tuple[str, str]]:
    found = []
    for one in diff.predictors:
        if one.instructions:
            found.append((one.instructions.before, one.instructions.after))
        found += [(text.before, text.after) for text in one.fields.values()]
    return found


def _rewritten(texts: tuple[str, str]) -> float:
    """Return how much of two texts differs: 1 less the share of words in matching runs of words."""
    before, after = (text.split() for text in texts)
    return 1 - difflib.SequenceMatcher(None, before, after, autojunk=False).ratio()


def _weight(value: float, steps: tuple[float, float]) -> int:
    return sum(value >= step for step in steps)
