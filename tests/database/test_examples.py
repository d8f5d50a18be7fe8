"""Examples and feedback: stored once, with their lineage, per owner."""

import pytest

from contracts.examples import ExampleOrigin, NewExample, NewFeedback, Split
from contracts.programs import FieldShape
from contracts.runs import RunStatus
from database.learning.examples import (
    Lineage,
    all_examples,
    delete_example,
    get_example,
    import_examples,
    list_examples,
    put_example,
)
from database.learning.feedback import give_run_feedback, list_feedback, promote_run
from database.learning.serving import pin_versions
from database.queue.leases import claim_runs, finish_run
from runtime.errors import BadInput, Conflict, NotFound
from runtime.personal import masked
from tests.fixtures.made_programs import NAME, add, register
from tests.fixtures.made_runs import accepted

REPORT = {
    "write": [
        FieldShape(name="question", side="input", type={"type": "string"}),
        FieldShape(name="notes", side="input", type={"type": "array"}),
        FieldShape(name="report", side="output", type={"type": "object"}, description="The report."),
    ]
}


def made(message="My parcel is late", label="shipping"):
    return NewExample(inputs={"message": message}, expected={"label": label})


async def read(database, query, *args, **kwargs):
    async with database.read() as session:
        return await query(session, *args, **kwargs)


async def sorted_run(database, message="Charged twice, mail ada@example.org", label="shipping"):
    """A run of `classify` that has ended well, bound to version 1."""
    run = await accepted(database, pipeline="classify", pool="interactive", params={"message": message})
    (claim,) = await database.write(claim_runs, pool="interactive", worker="w", limit=1, lease_seconds=15)
    version = await add(database, "Sort it.")
    await database.write(pin_versions, run.id, {NAME: version.id})
    result = {"label": label, "program_version": 1, "models": ["offline"]}
    await database.write(finish_run, claim.id, claim.attempt, RunStatus.SUCCEEDED, result)
    return run, version


async def judge(database, run, **given):
    return await database.write(give_run_feedback, "local", run.id, NewFeedback(**given), masked)


async def test_the_same_inputs_are_one_example_with_the_newest_answer(database):
    first, created = await database.write(put_example, "local", NAME, made(), Lineage(ExampleOrigin.IMPORT))
    again, known = await database.write(
        put_example, "local", NAME, made(label="billing"), Lineage(ExampleOrigin.RUN)
    )
    assert (created, known, again.id, again.split) == (True, False, first.id, first.split)
    assert (again.expected, again.origin) == ({"label": "billing"}, "run")


async def test_an_import_stores_all_and_counts_the_splits(database):
    done = await database.write(import_examples, "local", NAME, [made(f"message {n}") for n in range(50)])
    assert (done.added, done.known, sum(done.splits.values())) == (50, 0, 50)
    again = await database.write(import_examples, "local", NAME, [made("message 1"), made("new")])
    assert (again.added, again.known) == (1, 1)
    train = await read(database, list_examples, "local", NAME, split=Split.TRAIN, limit=200)
    assert {one.split for one in train.items} == {Split.TRAIN}
    first = await read(database, list_examples, "local", NAME, limit=30)
    rest = await read(database, list_examples, "local", NAME, limit=30, cursor=first.next_cursor)
    assert len({one.id for one in first.items + rest.items}) == 51
    hashes = [one.input_hash for one in await read(database, all_examples, "local", NAME)]
    assert hashes == sorted(hashes)


async def test_somebody_elses_example_does_not_exist(database):
    theirs, _ = await database.write(put_example, "eve", NAME, made(), Lineage(ExampleOrigin.IMPORT))
    assert await read(database, all_examples, "local", NAME) == []
    with pytest.raises(NotFound):
        await read(database, get_example, "local", theirs.id)
    with pytest.raises(NotFound):
        await database.write(delete_example, "local", theirs.id)
    await database.write(delete_example, "eve", theirs.id)
    assert await read(database, all_examples, "eve", NAME) == []


async def test_a_correction_becomes_an_example_with_its_lineage(database):
    await register(database)
    run, version = await sorted_run(database)
    given = await judge(database, run, score=0, correction="billing", comment="Mail me: bob@example.org")
    assert (given.program, given.version_id) == (NAME, version.id)
    assert given.comment == "Mail me: [email]"
    example = await read(database, get_example, "local", given.example_id)
    assert example.inputs == {"message": "Charged twice, mail [email]"}
    assert example.expected == {"label": "billing"}
    assert (example.run_id, example.version_id, example.feedback_id) == (run.id, version.id, given.id)
    (listed,) = (await read(database, list_feedback, "local", run_id=run.id)).items
    assert listed == given


async def test_praise_makes_the_answer_an_example_and_blame_alone_does_not(database):
    await register(database)
    run, _ = await sorted_run(database)
    assert (await judge(database, run, score=0.2)).example_id is None
    assert (await judge(database, run, label="tone")).example_id is None
    praised = await judge(database, run, score=1)
    example = await read(database, get_example, "local", praised.example_id)
    assert example.expected == {"label": "shipping"}


async def test_a_correction_that_the_program_cannot_give_is_refused_whole(database):
    await register(database)
    run, _ = await sorted_run(database)
    with pytest.raises(BadInput) as caught:
        await judge(database, run, correction="weather", comment="x")
    assert caught.value.code == "bad_examples"
    assert (await read(database, list_feedback, "local")).items == []


async def test_feedback_must_say_something_and_about_ones_own_run(database):
    await register(database)
    run, _ = await sorted_run(database)
    with pytest.raises(BadInput) as caught:
        await judge(database, run)
    assert caught.value.code == "empty_feedback"
    with pytest.raises(NotFound):
        await database.write(give_run_feedback, "eve", run.id, NewFeedback(score=1), masked)


async def test_a_good_run_becomes_an_example(database):
    await register(database)
    run, version = await sorted_run(database)
    example, created = await database.write(promote_run, "local", run.id, masked)
    assert (created, example.origin, example.version_id) == (True, "run", version.id)


async def analysed(database):
    """A run of `analysis` that has ended well, with two findings of which the report cites one."""
    await register(database, REPORT, "analysis.report", {"question": True, "notes": True}, ["report"])
    params = {"question": "How long is a lease?", "sources": [{"kind": "text", "text": "x"}]}
    run = await accepted(database, params=params)
    (claim,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    said = {"answer": "15 s.", "key_points": [], "confidence": 0.9, "findings": [1]}
    evidence = {"document": "a.md", "quote": "15 s", "start": 0, "end": 4}
    findings = [
        {"claim": claim, "relevance": 0.5, "evidence": [evidence]} for claim in ("It ends.", "It lasts 15 s.")
    ]
    result = {"report": said, "findings": findings, "documents": 1, "parts": 1, "models": ["offline"]}
    await database.write(finish_run, claim.id, claim.attempt, RunStatus.SUCCEEDED, result)
    return run, said


async def test_a_correction_of_an_analysis_becomes_an_example_of_its_report(database):
    run, said = await analysed(database)
    given = await judge(database, run, correction="15 seconds, ask ada@example.org.")
    (example,) = await read(database, all_examples, "local", "analysis.report")
    assert (example.id, example.run_id) == (given.example_id, run.id)
    assert example.expected == {"report": {**said, "answer": "15 seconds, ask [email]."}}
    assert example.inputs["question"] == "How long is a lease?"
    assert example.inputs["notes"] == [
        {"claim": "It ends.", "quote": "15 s", "document": "a.md", "findings": [0]},
        {"claim": "It lasts 15 s.", "quote": "15 s", "document": "a.md", "findings": [1]},
    ]


async def test_praise_of_an_analysis_makes_its_report_an_example(database):
    run, said = await analysed(database)
    await judge(database, run, score=1)
    (example,) = await read(database, all_examples, "local", "analysis.report")
    assert example.expected == {"report": said}


async def test_a_run_that_is_no_single_answer_teaches_nothing(database):
    await register(database)
    with pytest.raises(Conflict) as caught:
        await database.write(promote_run, "local", (await accepted(database)).id, masked)
    assert caught.value.code == "nothing_to_learn"
