"""Recorded runs of a program as cases: what it was given, what it said, and what people thought of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.example_texts import input_hash
from contracts.examples import Example, Split
from contracts.gate import CALLS_A_REPLAY, LaneName, NotReplayed
from contracts.lessons import LESSONS, WHOLE_RUNS, Lesson
from contracts.pipelines import PIPELINES
from contracts.runs import CallStatus, Run, RunError, RunStatus
from contracts.severity import Spread
from database.engine import ReadSession, WriteSession
from database.learning.examples import all_examples
from database.learning.feedback import GOOD, lesson_of, of_an_agent
from database.learning.serving import active_version
from database.queue.runs import RUN_COLUMNS, as_run
from database.tables import CallRow, FeedbackRow, ReplayedAnswerRow, RunProgramRow, RunRow, core
from runtime.clock import utcnow
from runtime.personal import mask_all, masked

LATELY = timedelta(days=30)
# So many runs are looked at for each case that is wanted: others answered with another program, or twice.
LOOKED_AT = 4
_RUNS = core(RunRow)
_PINS = core(RunProgramRow)
_CALLS = core(CallRow)
_FEEDBACK = core(FeedbackRow)
_ANSWERS = core(ReplayedAnswerRow)
# The optimizer has seen these; answering them well proves nothing.
SEEN = frozenset({Split.TRAIN, Split.VALIDATION})


@dataclass(frozen=True, slots=True)
class RecordedCase:
    """A run that a program answered: one call of it, or a pipeline in which it is a part (`whole`).

    Args:
        run_id: the run.
        version_id: the version that answered.
        inputs: what the program was given, or what the whole run was asked.
        input_hash: of the inputs, as of an example; of all parameters where it is a whole run.
        said: what was answered, by output field.
        cost_usd: what its calls did cost, as recorded.
        latency_ms: the time of its calls, as recorded.
        expected: the right answer, where feedback or an example tells it.
        disliked: somebody said that the answer is wrong, and not what is right.
        calls: how many model calls it made.
        whole: the run, where all of it has to be done anew.
        as_then: the other programs of the pipeline answer with the versions that they had then.
    """

    run_id: UUID
    version_id: UUID | None
    inputs: dict[str, Any]
    input_hash: str
    said: dict[str, Any]
    cost_usd: Decimal | None
    latency_ms: float | None
    expected: dict[str, Any] | None
    disliked: bool
    calls: int = 1
    whole: Run | None = None
    as_then: bool = True


@dataclass(frozen=True, slots=True)
class Recorded:
    """Recorded runs to answer anew, and how many are not, by reason; 0 where there are none at all."""

    cases: list[RecordedCase]
    not_replayed: dict[NotReplayed, int]


@dataclass(frozen=True, slots=True)
class ReplayedAnswer:
    """What one lane made of a recorded run."""

    recorded_run_id: UUID
    lane: LaneName
    answer: dict[str, Any] | None
    error: RunError | None
    score: float | None
    cost_usd: Decimal | None
    latency_ms: float | None


async def recorded_cases(session: ReadSession, owner: str, program: str, most: int) -> Recorded:
    """Return the newest recorded runs of a program that can be answered anew, each input once.

    A run that was one call of it is that call again; one in which it is a part (`WHOLE_RUNS`) is all of its
    calls again, and of those so many are taken that they made `CALLS_A_REPLAY` calls for each that is wanted.
    """
    pipelines = [
        name for name in dict.fromkeys([*LESSONS, *WHOLE_RUNS]) if program in PIPELINES[name].programs
    ]
    if not most or not pipelines:
        return Recorded([], {NotReplayed.NO_PIPELINE if most else NotReplayed.NOT_WANTED: 0})
    examples = await all_examples(session, owner, program)
    of_run = {one.run_id: one for one in examples if one.run_id is not None}
    of_inputs = {one.input_hash: one for one in examples}
    query = (
        sa.select(*RUN_COLUMNS, _PINS.c.version_id)
        .join_from(_RUNS, _PINS, (_PINS.c.run_id == _RUNS.c.id) & (_PINS.c.program == program))
        .where(_RUNS.c.owner == owner, _RUNS.c.pipeline.in_(pipelines))
        .where(_RUNS.c.status == RunStatus.SUCCEEDED)
        .order_by(_RUNS.c.id.desc())
        .limit(most * LOOKED_AT)
    )
    rows = (await session.execute(query)).all()
    known = [row.id for row in rows]
    paid, thought = await _paid(session, known), await _thought(session, owner, known)
    changed = await _changed_beside(session, owner, program, known)
    cases: dict[str, RecordedCase] = {}
    left: Counter[NotReplayed] = Counter()
    calls_left = most * CALLS_A_REPLAY
    for row in rows:
        run = as_run(row)
        lesson = await lesson_of(session, owner, run)
        mine = lesson if lesson is not None and lesson.program == program else None
        asked = _asked(run, mine)
        if asked is None:
            left[NotReplayed.OF_AN_AGENT] += of_an_agent(run) and _thought_with(run, program)
            continue
        inputs, digest, said = asked
        # Examples are stored masked, by a function that only the API knows: the run that one came from tells.
        example = of_run.get(row.id)
        if example is None and mine is not None:
            example = of_inputs.get(input_hash(mine.inputs)) or _masked_twin(of_inputs, mine.inputs)
        cost, latency, calls = paid.get(row.id, (None, None, 1))
        whole = run.pipeline in WHOLE_RUNS
        if example is not None and example.split in SEEN:
            left[NotReplayed.LEARNED_FROM] += 1
        elif whole and digest not in cases and calls > calls_left:
            left[NotReplayed.TOO_MANY_CALLS] += 1
        elif digest not in cases:
            calls_left -= calls if whole else 0
            cases[digest] = RecordedCase(
                *(row.id, row.version_id, inputs, digest, said, cost, latency),
                expected=None if example is None else example.expected,
                disliked=example is None and thought.get(row.id, GOOD) < GOOD,
                calls=calls,
                whole=run if whole else None,
                as_then=row.id not in changed,
            )
        if len(cases) == most:
            break
    told = {why: runs for why, runs in left.items() if runs}
    return Recorded(list(cases.values()), told if cases or told else {NotReplayed.NONE_RECORDED: 0})


async def spread_of(session: ReadSession, owner: str, program: str) -> Spread:
    """Return how much an owner uses a program: its pipelines, and its chats and runs of the last 30 days."""
    since = utcnow() - LATELY
    query = (
        sa.select(sa.func.count(), sa.func.count(_RUNS.c.chat_id.distinct()))
        .join_from(_PINS, _RUNS, _RUNS.c.id == _PINS.c.run_id)
        .where(_PINS.c.program == program, _RUNS.c.owner == owner, _RUNS.c.created_at >= since)
    )
    runs, chats = (await session.execute(query)).one()
    using = sum(program in pipeline.programs for pipeline in PIPELINES.values())
    return Spread(pipelines=using, chats=chats, runs=runs)


async def starters(session: ReadSession, owner: str, run_ids: Sequence[UUID]) -> list[str]:
    """Return the persons who started these runs of the owner."""
    query = sa.select(_RUNS.c.started_by).where(_RUNS.c.id.in_(run_ids), _RUNS.c.owner == owner)
    found = (await session.execute(query.where(_RUNS.c.started_by.is_not(None)))).scalars()
    return sorted(set(found))


async def keep_replayed(session: WriteSession, run_id: UUID, answers: Sequence[ReplayedAnswer]) -> None:
    """Write what all lanes of a gate made of recorded runs, in place of what an earlier try wrote."""
    await session.execute(sa.delete(_ANSWERS).where(_ANSWERS.c.run_id == run_id))
    rows = [
        {
            "run_id": run_id,
            **{name: getattr(one, name) for name in ReplayedAnswer.__slots__},
            "error": None if one.error is None else one.error.model_dump(mode="json"),
        }
        for one in answers
    ]
    if rows:
        await session.execute(sa.insert(_ANSWERS), rows)


def _masked_twin(examples: dict[str, Example], inputs: dict[str, Any]) -> Example | None:
    return examples.get(input_hash(mask_all(inputs, masked)))


def _asked(run: Run, lesson: Lesson | None) -> tuple[dict[str, Any], str, dict[str, Any]] | None:
    """Return what is asked anew, its hash and what was said; none when the run was of another program."""
    if run.pipeline in WHOLE_RUNS and run.result is not None:
        whole = WHOLE_RUNS[run.pipeline](run.params, run.result)
        return whole.inputs, input_hash({"pipeline": run.pipeline, **run.params}), whole.said
    return None if lesson is None else (lesson.inputs, input_hash(lesson.inputs), lesson.said)


def _thought_with(run: Run, program: str) -> bool:
    """Return whether a run's parameters chose the program: a fork to another mode is bound to both modes'."""
    pipeline = PIPELINES[run.pipeline]
    return program in pipeline.programs_of(pipeline.params.model_validate(run.params))


async def _changed_beside(
    session: ReadSession, owner: str, program: str, run_ids: Sequence[UUID]
) -> set[UUID]:
    """Return the runs whose other programs answered with versions that are not active any more."""
    query = sa.select(_PINS.c.run_id, _PINS.c.program, _PINS.c.version_id)
    rows = (await session.execute(query.where(_PINS.c.run_id.in_(run_ids), _PINS.c.program != program))).all()
    active = {name: await active_version(session, owner, name) for name in {row.program for row in rows}}
    now = {name: version.id for name, version in active.items() if version is not None}
    return {row.run_id for row in rows if now.get(row.program) != row.version_id}


async def _paid(
    session: ReadSession, run_ids: Sequence[UUID]
) -> dict[UUID, tuple[Decimal | None, float, int]]:
    query = (
        sa.select(
            _CALLS.c.run_id,
            sa.func.sum(_CALLS.c.cost_usd, type_=_CALLS.c.cost_usd.type),
            sa.func.sum(_CALLS.c.latency_ms),
            sa.func.count(),
        )
        .where(_CALLS.c.run_id.in_(run_ids), _CALLS.c.status == CallStatus.SUCCEEDED)
        .group_by(_CALLS.c.run_id)
    )
    found = await session.execute(query)
    return {run: (cost, float(latency or 0), calls) for run, cost, latency, calls in found}


async def _thought(session: ReadSession, owner: str, run_ids: Sequence[UUID]) -> dict[UUID, float]:
    """Return the last score that people gave to each run."""
    query = (
        sa.select(_FEEDBACK.c.run_id, _FEEDBACK.c.score)
        .where(_FEEDBACK.c.owner == owner, _FEEDBACK.c.run_id.in_(run_ids), _FEEDBACK.c.score.is_not(None))
        .where(_FEEDBACK.c.guest.is_(None))
        .order_by(_FEEDBACK.c.id)
    )
    return {row.run_id: row.score for row in await session.execute(query)}
