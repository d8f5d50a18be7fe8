"""States of programs: what is taken, what is refused, and how two of them differ."""

import copy
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.program_diff import diff
from contracts.program_states import (
    checked_file,
    checked_state,
    content_hash,
    fingerprint_of,
    refuse_mismatch,
    signature_changes,
)
from contracts.programs import FieldShape, ProgramFile
from runtime.errors import BadInput, Conflict
from tests.fixtures.made_programs import LABELS, NAME, SIGNATURE, file_of, state, unstored

GOOD = state("Sort it.", ("My parcel is late", "shipping"))


def without(key: str) -> dict:
    made = copy.deepcopy(GOOD)
    del made["sort"][key]
    return made


def with_demo(**demo: object) -> dict:
    made = copy.deepcopy(GOOD)
    made["sort"]["demos"].append(demo)
    return made


def test_a_state_comes_back_as_it_was():
    marked = with_demo(message="a", label="billing", augmented=True)
    assert checked_state(GOOD, SIGNATURE) == GOOD
    assert checked_state(marked, SIGNATURE) == marked


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (None, "state"),
        ([], "state"),
        ({}, "sort: is missing"),
        ({**GOOD, "draft": GOOD["sort"]}, "draft: the program has no such predictor"),
        (without("demos"), "sort.demos"),
        (without("signature"), "sort.signature"),
        ({"sort": {**GOOD["sort"], "lm": {"api_base": "http://evil"}}}, "sort.lm"),
        ({"sort": {**GOOD["sort"], "traces": []}}, "sort.traces"),
        ({"sort": {**GOOD["sort"], "__class__": "x"}}, "sort.__class__"),
        ({"sort": {**GOOD["sort"], "demos": "no list"}}, "sort.demos"),
        ({"sort": {**GOOD["sort"], "demos": ["no demo"]}}, "sort.demos.0"),
        (with_demo(password="x"), "sort.demos.1: the program has no field password"),
        (with_demo(augmented=True), "sort.demos.1: none of the program's fields"),
        (with_demo(message=math.nan), "not plain JSON"),
        (with_demo(message=b"bytes"), "not plain JSON"),
    ],
)
def test_a_malformed_state_is_refused_with_the_place(bad, told):
    """DSPy loads any attribute that it finds in a file."""
    with pytest.raises(BadInput, match="This is no state of the program") as caught:
        checked_state(bad, SIGNATURE)
    assert caught.value.code == "bad_program_state"
    assert told in caught.value.message


def test_a_state_with_other_fields_is_refused():
    made = copy.deepcopy(GOOD)
    made["sort"]["signature"]["fields"].pop()
    with pytest.raises(BadInput, match="1 texts for 2 fields"):
        checked_state(made, SIGNATURE)


def test_every_problem_is_told_up_to_a_number():
    made = with_demo(a=1)
    made["sort"]["demos"] += [{"b": 1}] * 20
    with pytest.raises(BadInput, match=r"and \d+ more"):
        checked_state(made, SIGNATURE)


values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)


@given(st.dictionaries(st.text(min_size=1), values))
def test_whatever_comes_is_refused_and_breaks_nothing(made):
    with pytest.raises(BadInput, match="This is no state"):
        checked_state({"sort": made}, SIGNATURE)


def test_the_hash_depends_on_the_content_alone():
    turned = json.loads(json.dumps(GOOD, sort_keys=True))
    other = state("Sort it.", ("My parcel is late", "billing"))
    assert content_hash(turned) == content_hash(GOOD) != content_hash(other)
    assert content_hash(GOOD) == "7a462f66aac71a9b937842028bf5c2eb4e343cf1edcf6f9d3822d8baf4519fc7"


def test_a_changed_file_is_refused_unless_it_was_meant():
    changed = state("Sort it well.")
    with pytest.raises(BadInput, match="was changed since"):
        checked_file(ProgramFile.model_validate(file_of(changed, content_hash=content_hash(GOOD))))
    meant = checked_file(ProgramFile.model_validate(file_of(changed, content_hash=None)))
    assert meant.state == changed


def test_a_mismatch_says_what_changed():
    message, label = SIGNATURE["sort"]
    wider = label.model_copy(update={"type": {**LABELS, "enum": ["billing", "shipping", "other"]}})
    told = label.model_copy(update={"description": "Something else."})
    why = FieldShape(name="why", side="output", type={"type": "string"})
    for after, changed in (
        ({"sort": [message, wider]}, "output `sort.label` has another type"),
        ({"sort": [message, told]}, "output `sort.label` has another meaning"),
        ({"sort": [message, label, why]}, "output `sort.why` is new"),
        ({"sort": [label]}, "input `sort.message` is gone"),
        ({"sort": [label, message]}, "the fields of `sort` stand in another order"),
        ({"other": [message, label]}, "the predictor `sort` is gone"),
    ):
        assert changed in signature_changes(SIGNATURE, after)
        assert fingerprint_of(SIGNATURE) != fingerprint_of(after)
        with pytest.raises(Conflict, match="another signature") as caught:
            refuse_mismatch(NAME, SIGNATURE, after)
        assert changed in caught.value.detail["changes"]
    refuse_mismatch(NAME, SIGNATURE, copy.deepcopy(SIGNATURE))


def test_a_diff_reads_like_one():
    before = state("Sort it.\nBe brief.", ("Late parcel", "shipping"), ("Kept", "billing"))
    after = state("Sort it.\nBe exact.", ("Kept", "billing"), ("Double charge", "billing"))
    found = diff(unstored(1, before), unstored(2, after))
    (sort,) = found.predictors
    assert (sort.instructions.before, sort.instructions.after) == (
        "Sort it.\nBe brief.",
        "Sort it.\nBe exact.",
    )
    assert sort.demos_added == [{"message": "Double charge", "label": "billing"}]
    assert sort.demos_removed == [{"message": "Late parcel", "label": "shipping"}]
    assert sort.demos_kept == 1
    lines = found.text.splitlines()
    assert lines[0] == "support.sort: version 1 -> version 2"
    assert {"  -Be brief.", "  +Be exact.", "  + message: Double charge | label: billing"} <= set(lines)


LATE, PAID, BENT = ("Late parcel", "shipping"), ("Paid twice", "billing"), ("Bent box", "shipping")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ([LATE, PAID], [PAID, LATE], ["sort: the same demos in another order"]),
        (
            [LATE, PAID],
            [LATE, LATE, PAID],
            ["sort: demos, 1 added, 0 removed, 2 kept", "  + message: Late parcel | label: shipping"],
        ),
        (
            [LATE, PAID, LATE],
            [PAID, LATE],
            ["sort: demos, 0 added, 1 removed, 2 kept", "  - message: Late parcel | label: shipping"],
        ),
        (
            [LATE, PAID],
            [PAID, BENT, LATE],
            [
                "sort: demos, 1 added, 0 removed, 2 kept in another order",
                "  + message: Bent box | label: shipping",
            ],
        ),
    ],
)
def test_demos_in_another_order_or_number_are_not_the_same(before, after, told):
    """Their hashes differ, a model reads them otherwise, and the diff said that they say the same."""
    old, new = state("Sort it.", *before), state("Sort it.", *after)
    found = diff(unstored(1, old), unstored(2, new))
    assert found.same is (content_hash(old) == content_hash(new)) is False
    assert found.text.splitlines()[1:] == told


@given(*(st.lists(st.sampled_from([LATE, PAID, BENT]), max_size=6) for _ in range(2)))
def test_a_diff_is_empty_when_the_contents_are_the_same_and_only_then(before, after):
    old, new = state("Sort it.", *before), state("Sort it.", *after)
    found = diff(unstored(1, old), unstored(2, new))
    assert found.same is (content_hash(old) == content_hash(new))
    for one in found.predictors:
        assert len(before) == one.demos_kept + len(one.demos_removed)
        assert len(after) == one.demos_kept + len(one.demos_added)


def test_a_version_differs_in_nothing_from_itself():
    found = diff(unstored(3, GOOD), unstored(3, copy.deepcopy(GOOD)))
    assert (found.same, found.predictors, found.deployment) == (True, [], None)


def test_the_same_words_for_another_model_are_not_the_same():
    found = diff(unstored(1, GOOD), unstored(2, copy.deepcopy(GOOD), "gpt"))
    assert (found.same, found.predictors) == (False, [])
    assert (found.deployment.before, found.deployment.after) == ("", "gpt")
    assert found.text.splitlines() == [
        "support.sort: version 1 -> version 2",
        "model: as the role's route says -> gpt",
        "Instructions and demos are the same.",
    ]
