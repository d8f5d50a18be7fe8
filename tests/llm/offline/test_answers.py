"""Answers come from what is given, in its words; what is not given is not made up."""

import dspy
import pytest
from dspy.lm15 import Config, Message, Request

from llm.offline import answered

CONTEXT = (
    "Millrace runs LLM agent pipelines that can be left alone. The warm worker runs many flow runs in one "
    "process. Every call that costs money is journaled, so a crash never pays twice. The lease expires after "
    "15 seconds. A reaper puts expired runs back in the queue."
)


def chat(*messages: str, system: str = "", **config: object) -> str:
    """Say these in turn, the model's parts included, and return what it answers to the last."""
    turns = [Message.assistant(text) if i % 2 else Message.user(text) for i, text in enumerate(messages)]
    request = Request(model="any", system=system or None, messages=tuple(turns), config=Config(**config))
    return answered(request).text or ""


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How long does a lease last until it expires?", "The lease expires after 15 seconds."),
        ("What puts runs back in the queue?", "A reaper puts expired runs back in the queue."),
    ],
)
def test_the_sentence_that_answers_is_quoted(predict, question, expected):
    assert predict("context, question -> answer", context=CONTEXT, question=question).answer == expected


def test_a_question_of_two_parts_gets_both(predict):
    question = "Why does a crash never pay twice, and what does the reaper do?"

    answer = predict("context, question -> answer", context=CONTEXT, question=question).answer

    assert "journaled" in answer
    assert "reaper" in answer


def test_what_the_material_does_not_say_is_said_plainly(predict):
    answer = predict(
        "context, question -> answer", context=CONTEXT, question="What does coffee cost in Rome?"
    ).answer

    assert answer.startswith("The material does not say")
    assert "coffee" in answer


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("What is my name?", "Your name is Ada."), ("Where do I live?", "You live in Paris.")],
)
def test_what_was_said_earlier_is_remembered(predict, asked, expected):
    turns = [
        {"message": "My name is Ada.", "answer": "Hello Ada."},
        {"message": "I live in Paris. Do you know it?", "answer": "A little."},
    ]
    signature = dspy.Signature(
        {
            "history": (dspy.History, dspy.InputField()),
            "message": (str, dspy.InputField()),
            "answer": (str, dspy.OutputField()),
        }
    )

    assert predict(signature, history=dspy.History(messages=turns), message=asked).answer == expected


def test_material_goes_before_memory_when_it_says_more(predict):
    signature = dspy.Signature(
        {
            "history": (dspy.History, dspy.InputField()),
            "context": (str, dspy.InputField()),
            "message": (str, dspy.InputField()),
            "answer": (str, dspy.OutputField()),
        }
    )
    history = dspy.History(messages=[{"message": "I wait for the lease.", "answer": "Fine."}])

    answer = predict(
        signature, history=history, context=CONTEXT, message="After how many seconds does the lease expire?"
    )

    assert answer.answer == "The lease expires after 15 seconds."


def test_short_answers_in_the_examples_make_short_answers(predict):
    demos = [
        {"context": "The tower is in Rome.", "question": "Where is the tower?", "answer": "Rome"},
        {"context": "It took 20 days.", "question": "How many days did it take?", "answer": "20"},
    ]
    context = "The program was written by Ada Lovelace in London. It has 42 lines."

    def ask(question: str) -> str:
        return predict("context, question -> answer", demos, context=context, question=question).answer

    assert ask("Who wrote the program?") == "Ada Lovelace"
    assert ask("How many lines does the program have?") == "42"


def test_an_example_with_the_same_question_is_believed(predict):
    demos = [
        {"question": "What is the best tea?", "answer": "Darjeeling, without any doubt and in any season"}
    ]

    assert predict("question -> answer", demos, question="what is the best tea").answer == demos[0]["answer"]


def test_passages_in_a_list_are_searched_one_by_one(predict):
    passages = ["Ada was born in London.", "Grace was born in New York.", "Tea is green."]
    signature = dspy.Signature("context: list[str], question -> answer")

    assert predict(signature, context=passages, question="Where was Grace born?").answer == passages[1]


def test_plain_words_without_any_form_are_answered():
    assert chat("Context: " + CONTEXT + "\n\nQuestion: How long is the lease?") == (
        "The lease expires after 15 seconds."
    )
    assert chat("My dog is called Rex.", "Nice.", "What is my dog called?") == "Your dog is called Rex."


def test_a_greeting_gets_a_greeting_and_the_truth():
    answer = chat("Hello!", system="You are a helpful assistant.")

    assert answer.startswith("Hello.")
    assert "offline model" in answer
    assert "not a language model" in answer


def test_what_nobody_gave_is_not_made_up():
    answer = chat("What is the capital of France?")

    assert "offline model" in answer
    assert "Paris" not in answer


def test_a_json_schema_without_dspy_is_filled():
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
        "required": ["city", "people"],
    }

    response_format = {"type": "json_schema", "schema": schema}
    answer = chat("There were 12 people in Paris.", response_format=response_format)

    assert answer == '{\n  "city": "Paris",\n  "people": 12\n}'


def test_a_person_may_ask_for_a_label_in_plain_words():
    system = "Classify the message as billing, shipping or praise. Answer with the label only."

    assert chat("thanks, so much praise for you", system=system) == "praise"
