"""Agents on the offline model call a fitting tool once and answer with what it returned."""

import dspy
import pytest


def search_documents(query: str, limit: int = 3) -> str:
    """Search the documents for a query."""
    return f"Ada Lovelace was born in London in 1815. {limit} hits for {len(query)} letters."


def add(a: int, b: int) -> int:
    """Add two numbers and return their sum."""
    return a + b


def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"It rains in {city}."


QUESTIONS = [
    ("Search the documents: where was Ada Lovelace born?", "Ada Lovelace was born in London in 1815."),
    ("What is the sum of 3 and 4?", "7"),
    ("Tell me the weather in Paris.", "It rains in Paris."),
]
ADAPTERS = [dspy.ChatAdapter(use_json_adapter_fallback=False), dspy.JSONAdapter()]


@pytest.mark.parametrize(("question", "expected"), QUESTIONS)
@pytest.mark.parametrize("adapter", ADAPTERS, ids=["chat", "json"])
@pytest.mark.filterwarnings("ignore:.*experimental.*")
def test_the_second_turn_submits_what_the_tool_returned(offline, adapter, question, expected):
    agent = dspy.ReActV2("question -> answer", tools=[search_documents, add, weather], max_iters=4)

    with dspy.context(adapter=adapter):
        prediction = agent(question=question)

    assert prediction.answer == expected
    assert prediction.termination_reason == "submit"
    assert len(offline.requests) == 2


@pytest.mark.parametrize(("question", "expected"), QUESTIONS)
def test_the_older_agent_finishes_after_one_tool(offline, question, expected):
    agent = dspy.ReAct("question -> answer", tools=[search_documents, add, weather], max_iters=4)

    prediction = agent(question=question)

    assert prediction.answer == expected
    assert prediction.trajectory["tool_name_1"] == "finish"
    assert len(offline.requests) == 3


@pytest.mark.filterwarnings("ignore:.*experimental.*")
def test_an_agent_without_tools_answers_at_once(offline):
    prediction = dspy.ReActV2("context, question -> answer", tools=[])(
        context="The lease expires after 15 seconds.", question="When does the lease expire?"
    )

    assert prediction.answer == "The lease expires after 15 seconds."
    assert len(offline.requests) == 1
