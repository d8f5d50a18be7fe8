"""Which programs are related, and what one of them can take over from another.

Two predictors are *compatible* when their outputs have the same names and types: what one answers, the other
could have answered. Two programs are *related* when a predictor of one is compatible with one of the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from contracts.demo_values import fits
from contracts.pollination import OfferKind
from contracts.program_states import DEMO_MARKS
from contracts.programs import FieldShape, Signature, State

MOST_DEMOS = 16


@dataclass(frozen=True, slots=True)
class Offer:
    """A state of a program with something taken over from another program's predictor."""

    kind: OfferKind
    from_predictor: str
    to_predictor: str
    state: State


def compatible(one: list[FieldShape], other: list[FieldShape]) -> bool:
    """Return whether two predictors give the same: outputs of the same names and types."""
    return _outputs(one) == _outputs(other)


def compatible_pairs(origin: Signature, target: Signature) -> list[tuple[str, str]]:
    """Return the compatible predictors of two programs; the programs are related when there are any."""
    return [
        (mine, theirs)
        for mine, fields in origin.items()
        for theirs, others in target.items()
        if compatible(fields, others)
    ]


def offers(
    origin: tuple[Signature, State], shipped: State, target: tuple[Signature, State]
) -> Iterator[Offer]:
    """Yield what a program has learned and another one could take over, as states of the other one.

    Args:
        origin: of the program that learned.
        shipped: its state as the code has it: instructions that still are those have not won anything.
        target: of the other program. Its own demos stay, and those taken over come after them.
    """
    (signature, state), (their_signature, their_state) = origin, target
    for mine, theirs in compatible_pairs(signature, their_signature):
        text = _learned(state[mine], shipped[mine], their_state[theirs])
        demos = _fitting(state[mine]["demos"], their_signature[theirs], their_state[theirs]["demos"])
        found: list[tuple[OfferKind, str | None, list[dict[str, Any]]]] = []
        if text is not None:
            found.append(("instructions", text, []))
        if demos:
            found.append(("demos", None, demos))
        if text is not None and demos:
            found.append(("both", text, demos))
        for kind, words, more in found:
            yield Offer(kind, mine, theirs, _with(their_state, theirs, words, more))


def _outputs(fields: list[FieldShape]) -> dict[str, Any]:
    return {field.name: field.type for field in fields if field.side == "output"}


def _learned(mine: dict[str, Any], shipped: dict[str, Any], theirs: dict[str, Any]) -> str | None:
    text: str = mine["signature"]["instructions"]
    known = {shipped["signature"]["instructions"], theirs["signature"]["instructions"]}
    return None if text in known else text


def _fitting(
    demos: list[dict[str, Any]], fields: list[FieldShape], known: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the demos as another predictor has them: all of its outputs, and at least one of its inputs.

    An input of the same name may be of another type there; such a demo is left out.
    """
    inputs = {field.name for field in fields if field.side == "input"}
    outputs = {field.name for field in fields if field.side == "output"}
    found = []
    for demo in demos:
        cut = {name: value for name, value in demo.items() if name in inputs | outputs | DEMO_MARKS}
        if outputs <= set(cut) and set(cut) & inputs and cut not in known and fits(cut, fields):
            found.append(cut)
    return found[: max(MOST_DEMOS - len(known), 0)]


def _with(state: State, predictor: str, words: str | None, demos: list[dict[str, Any]]) -> State:
    one = state[predictor]
    signature = one["signature"] if words is None else {**one["signature"], "instructions": words}
    return {**state, predictor: {**one, "signature": signature, "demos": [*one["demos"], *demos]}}
