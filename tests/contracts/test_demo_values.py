"""Values in demos: which fit their field, which are refused with their place, and what DSPy writes."""

import copy
from enum import StrEnum
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from contracts.demo_values import fits, misfit
from contracts.program_states import checked_state
from contracts.programs import FieldShape
from contracts.related_programs import offers
from runtime.errors import BadInput
from tests.fixtures.made_programs import SIGNATURE, state


class Colour(StrEnum):
    """A choice by its own class."""

    RED = "red"
    BLUE = "blue"


class Note(BaseModel):
    """A model with what Pydantic's schemas have: a bound, a default, a list, an option, and itself."""

    model_config = ConfigDict(extra="forbid", strict=True)

    claim: str = Field(min_length=1)
    relevance: float = Field(ge=0, le=1)
    findings: list[int] = Field(default_factory=list, max_length=3)
    colour: Literal["red", "blue"] | None = None
    parts: "list[Note]" = Field(default_factory=list)


def field(annotation: Any, side: Any = "output") -> FieldShape:
    return FieldShape(name="it", side=side, type=TypeAdapter(annotation).json_schema())


NOTE = {"claim": "It lasts.", "relevance": 1, "findings": [0], "colour": None, "parts": []}


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (str, "anything"),
        (int, 3),
        (float, 3),
        (float, 0.5),
        (bool, True),
        (Literal["a", 1], 1),
        (Colour, "red"),
        (int | None, 3),
        (str | list[str], ["a"]),
        (list[Colour], ["red", "blue"]),
        (tuple[int, str], [1, "a"]),
        (dict[str, int], {"a": 1}),
        (dict[str, Any], {"a": [None]}),
        (Note, NOTE),
        (Note, {**NOTE, "parts": [NOTE]}),
        (list[Note], [{"claim": "Short.", "relevance": 0.0}]),
        (Any, {"whatever": 1}),
    ],
)
def test_a_value_of_the_fields_type_fits(annotation, value):
    assert misfit(value, field(annotation), "it") is None


@pytest.mark.parametrize(
    ("annotation", "value", "told"),
    [
        (str, 42, "it: must be a text"),
        (str, {"x": [1]}, "it: must be a text"),
        (int, "three", "it: must be a whole number"),
        (int, True, "it: must be a whole number"),
        (int, 2.5, "it: must be a whole number"),
        (bool, 1, "it: must be true or false"),
        (bool, "yes", "it: must be true or false"),
        (Literal[1], True, "it: must be one of 1"),
        (Colour, "green", "it: must be one of red, blue"),
        (Colour, '"red"', "it: must be one of red, blue"),
        (int | None, "x", 'it: must fit anyOf: [{"type": "integer"}, {"type": "null"}]'),
        (list[Colour], ["red", "green"], "it.1: must be one of red, blue"),
        (tuple[int, str], [1, 2], "it.1: must be a text"),
        (tuple[int, str], [1], "it: must fit minItems: 2"),
        (dict[str, int], {"a": "b"}, "it.a: must be a whole number"),
        (Note, "a text", "it: must be an object"),
        (Note, {"claim": "Short."}, "it: must have claim, relevance"),
        (Note, {**NOTE, "mood": "good"}, "it: must fit additionalProperties: false"),
        (Note, {**NOTE, "claim": ""}, "it.claim: must fit minLength: 1"),
        (Note, {**NOTE, "relevance": 2}, "it.relevance: must fit maximum: 1"),
        (Note, {**NOTE, "findings": [1, 2, 3, 4]}, "it.findings: must fit maxItems: 3"),
        (Note, {**NOTE, "parts": [{**NOTE, "claim": 1}]}, "it.parts.0.claim: must be a text"),
    ],
)
def test_a_value_of_another_type_is_told_with_its_place(annotation, value, told):
    assert misfit(value, field(annotation), "it") == told


@pytest.mark.parametrize(
    ("annotation", "side", "value"),
    [
        # DSPy takes null as a value that was not supplied, and writes it of an answer's part that was none.
        (str, "output", None),
        # Of an example whose program reads it before its predictor does.
        (Note, "input", "a text"),
        # SIMBA cuts inputs to a length, whatever they were.
        (list[Note], "input", "[Note(claim='It\n\t\t... <TRUNCATED FOR BREVITY>"),
        (Note | None, "input", "a text"),
        # A table of examples has texts alone.
        (int, "output", "3"),
        (bool, "output", "True"),
        (list[int], "output", "[1, 2]"),
        # An image and the like.
        (Note, "output", "<<CUSTOM-TYPE-START-IDENTIFIER>>[]<<CUSTOM-TYPE-END-IDENTIFIER>>"),
    ],
)
def test_what_optimizers_write_fits(annotation, side, value):
    assert misfit(value, field(annotation, side), "it") is None


def test_a_type_without_a_schema_takes_anything():
    assert misfit({"x": [1]}, FieldShape(name="it", side="output", type="<class 'object'>"), "it") is None


def test_what_is_nested_without_end_is_refused_and_breaks_nothing():
    value: dict[str, Any] = {**NOTE}
    for _ in range(2_000):
        value = {**NOTE, "parts": [value]}
    assert misfit(value, field(Note), "it") == "it: is nested too deeply"


plain = st.none() | st.booleans() | st.integers(-1, 5) | st.sampled_from([0.5, 1.0, "", "red", "a"])
noted = st.fixed_dictionaries(
    {"claim": plain, "relevance": plain},
    optional={"findings": st.lists(plain, max_size=4) | plain, "colour": plain, "mood": plain},
)


@given(noted)
def test_what_pydantic_takes_fits_and_nothing_else(value):
    """The schema is Pydantic's: both must agree on what it means."""
    try:
        Note.model_validate(value)
        taken = True
    except ValidationError:
        taken = False
    # A float that is whole is a whole number to JSON, and none to Pydantic.
    findings = value.get("findings")
    if not (isinstance(findings, list) and 1.0 in [one for one in findings if isinstance(one, float)]):
        assert (misfit(value, field(Note), "it") is None) is taken


@pytest.mark.parametrize(
    ("demo", "told"),
    [
        ({"message": 42, "label": "billing"}, "sort.demos.1.message: must be a text"),
        ({"message": "a", "label": "nonsense"}, "sort.demos.1.label: must be one of billing, shipping"),
        ({"label": {"x": [1]}}, "sort.demos.1.label: must be one of billing, shipping"),
        ({"message": "a", "augmented": "yes"}, "sort.demos.1.augmented: must be true or false"),
    ],
)
def test_a_state_with_such_a_demo_is_refused_with_predictor_demo_and_field(demo, told):
    made = copy.deepcopy(state("Sort it.", ("My parcel is late", "shipping")))
    made["sort"]["demos"].append(demo)
    with pytest.raises(BadInput) as caught:
        checked_state(made, SIGNATURE)
    assert caught.value.code == "bad_program_state"
    assert told in caught.value.message
    place, _, why = told.partition(": ")
    assert caught.value.detail["errors"] == [{"field": place, "message": why}]


def test_no_demo_is_offered_to_a_program_whose_input_is_of_another_type():
    """Of the same name: checking what is offered would have ended the whole comparison."""
    texts = SIGNATURE
    numbers = {
        "sort": [SIGNATURE["sort"][0].model_copy(update={"type": {"type": "integer"}}), SIGNATURE["sort"][1]]
    }
    learned = state("Sort it.", ("My parcel is late", "shipping"))
    assert fits(learned["sort"]["demos"][0], texts["sort"])
    assert list(offers((texts, learned), state(), (numbers, state()))) == []
    (found,) = offers((texts, learned), state(), (texts, state()))
    assert found.kind == "demos"
