"""The print under which a finished call is found again."""

import subprocess
import sys
from dataclasses import replace

import pytest
from dspy.lm15 import Config, FunctionTool, Message, Request

from llm.fingerprint import fingerprint, meaning

REQUEST = Request(
    model="millrace/chat",
    system="Answer briefly.",
    messages=(Message.user("What is promised? Ä"), Message.assistant("Much."), Message.user("What exactly?")),
    tools=(FunctionTool(name="look", parameters={"type": "object", "properties": {"b": {}, "a": {}}}),),
    config=Config(temperature=0, max_tokens=100),
)


def printed(request: Request, kind: str = "model", role: str = "chat") -> str:
    return fingerprint(kind, role, meaning(request))


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, system="Answer at length."),
        replace(REQUEST, messages=REQUEST.messages[:1]),
        replace(REQUEST, messages=REQUEST.messages[::-1]),
        replace(REQUEST, tools=()),
        replace(REQUEST, config=Config(temperature=1, max_tokens=100)),
        replace(REQUEST, config=Config(temperature=0)),
        replace(REQUEST, config=Config(temperature=0, max_tokens=100, seed=0)),
    ],
)
def test_another_meaning_has_another_print(other: Request):
    assert printed(other) != printed(REQUEST)


def test_kind_and_role_are_part_of_the_meaning():
    prints = {printed(REQUEST), printed(REQUEST, role="judge"), printed(REQUEST, kind="embedding")}

    assert len(prints) == 3


def test_the_model_is_no_part_of_it():
    """A role that moves to another model between two attempts must not pay again for what is finished."""
    assert printed(replace(REQUEST, model="millrace/other")) == printed(REQUEST)


def test_the_order_in_which_a_schema_was_written_does_not_matter():
    tool = FunctionTool(name="look", parameters={"properties": {"a": {}, "b": {}}, "type": "object"})

    assert printed(replace(REQUEST, tools=(tool,))) == printed(REQUEST)


def test_a_number_means_the_same_as_a_float():
    assert printed(replace(REQUEST, config=Config(temperature=0.0, max_tokens=100))) == printed(REQUEST)


def test_another_process_gives_the_same_print():
    """A resumed run is another process: with a hash seed in the print it would pay for everything again."""
    code = "import tests.llm.test_fingerprint as t; print(t.printed(t.REQUEST))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == printed(REQUEST)
    assert len(printed(REQUEST)) == 64
