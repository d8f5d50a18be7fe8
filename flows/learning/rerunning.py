"""A recorded run of several calls done anew: its whole pipeline, with a program of it in another version."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.analysis import AnalysisParams, AnalysisResult, Finding, FolderSource, Report, Source
from contracts.example_texts import input_hash
from contracts.examples import Example
from contracts.gate import NotReplayed
from contracts.pipelines import ANALYSIS, PIPELINES
from contracts.programs import State, Version
from database.learning.examples import all_examples
from database.learning.recorded import SEEN, RecordedCase
from flows.analysis import analyse_parts, asked_of, report_on, split_all, standing_in
from flows.durable.run import current_run
from flows.durable.steps import step, step_calls
from flows.durable.thinking import thinking
from flows.learning.caps import Caps
from flows.learning.material import measured_with, version_of
from flows.policies import MODEL_CALL, READ_DOCUMENTS
from flows.screening import screened_model
from flows.sources import Collected, read_sources
from llm.routing import Wanted
from modules.notes import Note, shown
from modules.programs import PROGRAMS, with_state
from runtime.errors import BadInput, NotFound
from runtime.personal import mask_all, masked
from tools.documents import Part

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bound:
    """A program in one version: its state, and who answers for it."""

    program: str
    state: State
    wanted: Wanted | None


Cast = dict[str, Bound]


async def cast_of(cases: Sequence[RecordedCase], program: str) -> Cast:
    """Return the other programs of whole runs' pipelines as they answer today, the same in both lanes."""
    run = current_run()
    pipelines = {case.whole.pipeline for case in cases if case.whole is not None}
    names = {name for pipeline in pipelines for name in PIPELINES[pipeline].programs} - {program}
    return {name: bound(await version_of(run, name, None)) for name in sorted(names)}


def bound(version: Version) -> Bound:
    """Return a version as it answers in a lane: a version for a deployment is asked of that alone."""
    return Bound(version.program, version.state, measured_with(current_run(), version.deployment))


async def replayable(
    program: str, cases: Sequence[RecordedCase]
) -> tuple[list[RecordedCase], dict[NotReplayed, int]]:
    """Return the runs that can be done anew, and how many cannot, by reason; no model is asked.

    What was one call of the program always can.
    """
    run = current_run()
    seen: list[Example] = []
    if any(case.whole is not None for case in cases):
        seen = [one for one in await run.read(all_examples, run.owner, program) if one.split in SEEN]
    kept, left = [], Counter[NotReplayed]()
    for case in cases:
        why = None if case.whole is None else await WHOLE[case.whole.pipeline].refuse(program, case, seen)
        if why is None:
            kept.append(case)
        else:
            left[why] += 1
    return kept, dict(left)


async def done_anew(place: str, case: RecordedCase, cast: Cast, caps: Caps) -> Fields:
    """Return what a whole run answers today, each of its calls a step under the place."""
    if case.whole is None:
        raise ValueError(place)
    return await WHOLE[case.whole.pipeline].answer(place, case.whole.params, cast, caps)


def same_material(case: RecordedCase) -> bool:
    """Whether a run reads today what it read then: files of a folder may have changed since."""
    if case.whole is None:
        return True
    return not any(source.get("kind") == "folder" for source in case.whole.params.get("sources", []))


@step(MODEL_CALL, key="place")
async def rethink(place: str, one: Bound, inputs: Fields, caps: Caps) -> Any:  # noqa: ARG001  it is the key
    """Ask one program once, and return what it predicts."""
    kind = PROGRAMS[one.program]
    calls = step_calls()
    caps.guard(calls)
    # What is measured is what an answer takes: one that is used again takes nothing.
    calls.owner = None
    with thinking(kind.role, one.wanted):
        prediction = await with_state(kind.build(), one.state).acall(**inputs)
    return prediction[kind.expects[0]]


@step(READ_DOCUMENTS, key="place")
async def reread(place: str, sources: list[Source]) -> Collected:  # noqa: ARG001  it is the key
    """Read what a run has read."""
    return await read_sources(current_run(), sources)


async def analysed_anew(place: str, params: Fields, cast: Cast, caps: Caps) -> Fields:
    """Read, analyse and report as the pipeline does, its three programs in the versions of the cast."""
    asked = AnalysisParams.model_validate(params)
    collected = await reread(place, asked.sources)
    parts = await asyncio.to_thread(split_all, collected.documents)

    async def find(number: int, part: Part, question: str) -> list[Finding]:
        where = f"{place}.find.{number}"
        return standing_in(part, await rethink(where, cast["analysis.find"], asked_of(part, question), caps))

    async def merge(group: str, notes: list[Note], question: str) -> list[Note]:
        asked = {"question": question, "notes": notes}
        merged: list[Note] = await rethink(f"{place}.merge.{group}", cast["analysis.merge"], asked, caps)
        return merged

    async def write(notes: list[Note], question: str) -> Report:
        asked = {"question": question, "notes": notes}
        report: Report = await rethink(f"{place}.report", cast["analysis.report"], asked, caps)
        return await screened_model(report)

    findings, _unread = await analyse_parts(parts, asked.question, find, of="parts of a recorded run")
    report, _findings = shown(await report_on(findings, asked.question, merge, write), findings)
    return {"report": report.model_dump(mode="json")}


async def analysis_refused(program: str, case: RecordedCase, seen: Sequence[Example]) -> NotReplayed | None:
    """Return why a recorded analysis cannot be done anew; none when it can."""
    if case.whole is None:
        return None
    asked = AnalysisParams.model_validate(case.whole.params)
    try:
        collected = await reread(f"{case.run_id}", asked.sources)
    except (BadInput, NotFound):
        return NotReplayed.SOURCES_GONE
    then = AnalysisResult.model_validate(case.whole.result).documents
    changing = any(isinstance(source, FolderSource) for source in asked.sources)
    if not changing and len(collected.documents) != then:
        return NotReplayed.SOURCES_GONE
    parts = await asyncio.to_thread(split_all, collected.documents)
    known = await asyncio.to_thread(knows, program, asked.question, parts, seen)
    return NotReplayed.LEARNED_FROM if known else None


def knows(program: str, question: str, parts: Sequence[Part], seen: Sequence[Example]) -> bool:
    """Whether an example that an optimizer has seen is a part of this run.

    A part of a document is known by its hash, as it is and with personal data taken out; what notes there
    will be nobody knows before, so a merge is known by its question. A report is known by its run.
    """
    if program == "analysis.find":
        hashes = {one.input_hash for one in seen}
        asked = (asked_of(part, question) for part in parts)
        return any(input_hash(one) in hashes or input_hash(mask_all(one, masked)) in hashes for one in asked)
    if program == "analysis.merge":
        return any(one.inputs.get("question") in {question, masked(question)} for one in seen)
    return False


@dataclass(frozen=True, slots=True)
class Whole:
    """A pipeline of several calls: whether a run of it can be done anew, and how."""

    refuse: Callable[[str, RecordedCase, Sequence[Example]], Awaitable[NotReplayed | None]]
    answer: Callable[[str, Fields, Cast, Caps], Awaitable[Fields]]


WHOLE = {ANALYSIS.name: Whole(analysis_refused, analysed_anew)}
