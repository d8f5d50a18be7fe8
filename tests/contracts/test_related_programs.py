"""Who is related to whom, and what one program can take over from another."""

import pytest

from contracts.program_states import checked_state
from contracts.programs import FieldShape, Signature, State
from contracts.related_programs import compatible_pairs, offers

TEXT = {"type": "string"}
LABEL = {"enum": ["a", "b"], "type": "string"}


def signature(predictor: str, inputs: str, **outputs: object) -> Signature:
    """One predictor with these inputs (names with spaces between) and outputs by type."""
    return {
        predictor: [
            *(FieldShape(name=name, side="input", type=TEXT) for name in inputs.split()),
            *(
                FieldShape(name=name, side="output", type=kind, description=predictor)
                for name, kind in outputs.items()
            ),
        ]
    }


def state(made_for: Signature, instructions: str = "shipped", demos: list[dict] | None = None) -> State:
    return {
        name: {
            "signature": {
                "instructions": instructions,
                "fields": [{"prefix": f"{one.name}:", "description": ""} for one in fields],
            },
            "demos": demos or [],
        }
        for name, fields in made_for.items()
    }


SORT, TRIAGE = signature("sort", "message", label=LABEL), signature("triage", "message customer", label=LABEL)


@pytest.mark.parametrize(
    ("other", "related"),
    [
        (TRIAGE, True),
        (signature("x", "anything", label=LABEL), True),
        (signature("x", "message", label=TEXT), False),
        (signature("x", "message", kind=LABEL), False),
        (signature("x", "message", label=LABEL, why=TEXT), False),
    ],
)
def test_related_are_those_that_give_the_same_fields(other: Signature, related: bool):
    """Whatever they are given, and however their outputs are described."""
    assert bool(compatible_pairs(SORT, other)) is related


def test_what_was_learned_is_offered_in_every_combination():
    demo = {"message": "m", "label": "a", "augmented": True}
    theirs = state(TRIAGE, "theirs", [{"message": "own", "label": "b"}])
    found = list(offers((SORT, state(SORT, "learned", [demo])), state(SORT), (TRIAGE, theirs)))
    assert [one.kind for one in found] == ["instructions", "demos", "both"]
    assert {(one.from_predictor, one.to_predictor) for one in found} == {("sort", "triage")}
    words, demos, both = (one.state["triage"] for one in found)
    assert (words["signature"]["instructions"], words["demos"]) == ("learned", theirs["triage"]["demos"])
    assert (demos["signature"]["instructions"], demos["demos"][1:]) == ("theirs", [demo])
    assert (both["signature"]["instructions"], len(both["demos"])) == ("learned", 2)
    for one in found:
        checked_state(one.state, TRIAGE)


def test_what_ships_with_the_code_has_won_nothing():
    assert list(offers((SORT, state(SORT)), state(SORT), (TRIAGE, state(TRIAGE, "theirs")))) == []


def test_demos_are_cut_to_the_fields_that_the_other_one_has():
    rich = signature("sort", "message hint", label=LABEL)
    demos = [{"message": "m", "hint": "h", "label": "a"}, {"hint": "h", "label": "a"}, {"message": "m"}]
    (found,) = offers((rich, state(rich, demos=demos)), state(rich), (SORT, state(SORT)))
    assert found.state["sort"]["demos"] == [{"message": "m", "label": "a"}]
