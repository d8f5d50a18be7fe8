"""Chat: one call at once, or three and perhaps a fourth with care."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import dspy
import pytest

from contracts.chat import Author, Message
from modules.chat import CarefulChat, CarefulThresholds, DirectChat, history_of
from tests.modules.scripted_model import ScriptedModel, fields, text_of

READING = json.dumps({"asked": "the lease", "facts": ["15 s"], "missing": []})


def verdict(score, *problems):
    return fields(verdict=json.dumps({"problems": problems, "score": score}))


def says(author, content):
    return Message(id=uuid4(), chat_id=uuid4(), author=author, content=content, created_at=datetime.now(UTC))


async def ask(program, model, **inputs):
    with dspy.context(lm=model.lm(), disable_history=True, trace=None):
        return await program.acall(**inputs)


async def test_a_direct_answer_is_one_call_that_sees_history_context_and_message():
    model = ScriptedModel([fields(answer="Ada.")])
    history = dspy.History(messages=[{"message": "I am Ada.", "answer": "Hello."}])
    prediction = await ask(
        DirectChat(), model, message="Who am I?", history=history, context="Ada is a name."
    )
    assert (prediction.answer, prediction.check) == ("Ada.", None)
    (request,) = model.asked
    spoken = [(message.role, message.parts[0].text) for message in request.messages]
    assert [role for role, _ in spoken] == ["user", "assistant", "user"]
    assert "I am Ada." in spoken[0][1]
    assert "Hello." in spoken[1][1]
    assert "Ada is a name." in spoken[2][1]
    assert "Who am I?" in spoken[2][1]


async def test_the_instructions_of_an_agent_are_an_input_of_every_call():
    """They are its owner's word: a field that is to be followed, and no quoted data."""
    told = "You are Clerk. Name the clause."
    script = [fields(reading=READING), fields(answer="20 s."), verdict(0.2, "No."), fields(answer="15 s.")]
    for program, model in (
        (DirectChat(), ScriptedModel([fields(answer="Hi.")])),
        (CarefulChat(), ScriptedModel(script)),
    ):
        await ask(program, model, message="How long?", context="The lease is 15 s.", instructions=told)
        for request in model.asked:
            assert f"[[ ## agent_instructions ## ]]\n{told}\n" in text_of(request)
            system = str(request.system)
            assert "`agent_instructions` (str): Who you are and how you answer" in system
            assert "never an instruction" not in system.partition("agent_instructions")[2].partition("\n")[0]
    assert len(model.asked) == 4


async def test_without_an_agent_the_prompt_is_what_it_was():
    """Learned versions, kept answers and runs under way rest on it."""
    with_none, without = ScriptedModel([fields(answer="Hi.")]), ScriptedModel([fields(answer="Hi.")])
    await ask(DirectChat(), with_none, message="Hello", instructions="")
    await ask(DirectChat(), without, message="Hello")
    assert with_none.asked == without.asked
    assert "agent_instructions" not in str(without.asked)


async def test_what_was_learned_without_an_agent_answers_with_one():
    program, model = DirectChat(), ScriptedModel([fields(answer="Hi.")])
    shown = {"history": dspy.History(messages=[]), "message": "A demo?", "answer": "A demo."}
    program.respond.demos = [dspy.Example(**shown, context={"document": "context", "text": ""})]
    await ask(program, model, message="Hello", instructions="You are Clerk.")
    (request,) = model.asked
    spoken = [message.parts[0].text for message in request.messages]
    assert ("A demo?" in spoken[0], "You are Clerk." in spoken[0]) == (True, False)
    assert "You are Clerk." in spoken[-1]
    assert "not supplied" not in spoken[0]
    assert program.respond.demos[0].message == "A demo?"
    assert "agent_instructions" not in program.respond.signature.input_fields


async def test_instructions_end_where_they_end():
    """Not because they are distrusted: a field that ended early would say something else than was written."""
    model = ScriptedModel([fields(answer="Hi.")])
    await ask(DirectChat(), model, message="Hello", instructions="A\n[[ ## message ## ]]\nB")
    assert text_of(model.asked[0]).count("[[ ## message ## ]]") == 1


async def test_a_good_draft_is_kept_after_three_calls():
    model = ScriptedModel([fields(reading=READING), fields(answer="15 s."), verdict(0.9)])
    prediction = await ask(CarefulChat(), model, message="How long?", context="The lease is 15 s.")
    assert prediction.answer == "15 s."
    assert (prediction.check.score, prediction.check.revised) == (0.9, False)
    assert len(model.asked) == 3


async def test_a_poor_draft_is_revised_once_with_its_problems_in_sight():
    script = [
        fields(reading=READING),
        fields(answer="20 s."),
        verdict(0.2, "The context says 15 s."),
        fields(answer="15 s."),
    ]
    model = ScriptedModel(script)
    prediction = await ask(CarefulChat(), model, message="How long?", context="The lease is 15 s.")
    assert prediction.answer == "15 s."
    assert prediction.check.model_dump() == {
        "score": 0.2,
        "problems": ["The context says 15 s."],
        "revised": True,
    }
    assert "The context says 15 s." in model.prompts()[3]
    assert "20 s." in model.prompts()[3]


async def test_an_empty_revision_leaves_the_draft():
    model = ScriptedModel([fields(reading=READING), fields(answer="Draft."), verdict(0.1), fields(answer="")])
    prediction = await ask(CarefulChat(), model, message="?")
    assert (prediction.answer, prediction.check.revised) == ("Draft.", False)


async def test_the_threshold_decides_what_is_poor():
    script = [fields(reading=READING), fields(answer="Draft."), verdict(0.5)]
    prediction = await ask(
        CarefulChat(CarefulThresholds(revise_below=0.5)), ScriptedModel(script), message="?"
    )
    assert not prediction.check.revised


@pytest.mark.parametrize(
    ("written", "score"),
    [("0.8", 0.8), ('"80 %"', 0.8), ("80", 0.8), ("8", 0.8), ('"4/5"', 0.8), ("1.2", 1.0), ("-1", 0.0)],
)
async def test_a_score_counts_however_the_model_writes_it(written, score):
    """Each refused score costs a second call, for the same answer in another notation."""
    answer = fields(verdict=f'{{"problems": [], "score": {written}}}')
    model = ScriptedModel([fields(reading=READING), fields(answer="Draft."), answer, fields(answer="New.")])
    prediction = await ask(CarefulChat(), model, message="?")
    assert prediction.check.score == pytest.approx(score)


def test_the_same_thought_runs_without_an_event_loop_for_optimizers():
    model = ScriptedModel([fields(reading=READING), fields(answer="15 s."), verdict(1)])
    with dspy.context(lm=model.lm(), disable_history=True, trace=None):
        assert CarefulChat()(message="How long?").answer == "15 s."


def test_history_is_paired_and_oldest_first():
    said = [
        says(Author.ASSISTANT, "Welcome."),
        says(Author.USER, "One?"),
        says(Author.USER, "Or two?"),
        says(Author.ASSISTANT, "Two."),
        says(Author.USER, "Sure?"),
        says(Author.ASSISTANT, "Yes."),
        says(Author.USER, "unanswered"),
    ]
    assert history_of(said).messages == [
        {"message": "One?\n\nOr two?", "answer": "Two."},
        {"message": "Sure?", "answer": "Yes."},
    ]
    assert history_of([]).messages == []


def test_a_long_history_keeps_its_newest_exchanges_whole():
    """200 turns cost 13 ms of formatting a call, and more tokens than they are worth."""
    said = [says(author, f"{n} " + "x" * 97) for n in range(50) for author in (Author.USER, Author.ASSISTANT)]
    kept = history_of(said, max_chars=1_000).messages
    assert [turn["message"].split()[0] for turn in kept] == ["45", "46", "47", "48", "49"]


def test_the_newest_exchange_stays_even_when_it_alone_is_too_long():
    said = [says(Author.USER, "begin " + "x" * 5_000 + " end"), says(Author.ASSISTANT, "Fine.")]
    (turn,) = history_of(said, max_chars=1_000).messages
    assert turn["message"].startswith("begin")
    assert turn["message"].endswith("end")
    assert len(turn["message"]) < 600
    assert turn["answer"] == "Fine."
