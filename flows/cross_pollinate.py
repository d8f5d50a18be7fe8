"""Cross-pollinate: offer what won in one program to related ones; what wins on their own examples stays."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.examples import Example, Split
from contracts.gate import Lineage
from contracts.pipelines import CROSS_POLLINATE
from contracts.pollination import Offered, Pollinated, PollinateParams, PollinateResult
from contracts.program_states import checked_state
from contracts.programs import ProgramDetail, Version, VersionOrigin
from contracts.related_programs import Offer, compatible_pairs, offers
from database.engine import WriteSession
from database.learning.lineage import made_with
from database.learning.programs import NewVersion, add_version, list_programs
from flows.durable.pipeline import pipeline
from flows.durable.run import current_run
from flows.durable.steps import step
from flows.learning.answering import answer_all, score_all
from flows.learning.caps import Caps
from flows.learning.material import examples_of, measured_with, version_of
from flows.learning.metrics import tried
from flows.learning.passing_on import pass_on
from flows.learning.proving import mean
from flows.policies import STORE
from modules.programs import PROGRAMS
from runtime.errors import BadInput, Conflict, NotFound

# With fewer examples of its own a program would take over what won by chance.
FEWEST = 5


@dataclass(frozen=True, slots=True)
class Target:
    """A related program: its active version, its own examples, and what it is offered."""

    program: str
    base: Version | None = None
    examples: list[Example] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)
    skipped: str | None = None


@pipeline(CROSS_POLLINATE)
async def cross_pollinate(params: PollinateParams) -> PollinateResult:
    """Find the related programs, let each try what is offered on its validation split, and keep what wins."""
    origin, targets = await prepare(params)
    caps = Caps(usd=params.cap_usd)
    found = [await tested(params, origin, target, caps) for target in targets]
    return PollinateResult(
        program=params.program,
        version=origin.version,
        programs=found,
        models=sorted(current_run().deployments),
    )


@step(STORE)
async def prepare(params: PollinateParams) -> tuple[Version, list[Target]]:
    """Find what is offered to whom, before any money is spent.

    Raises:
        BadInput: `not_related`, a program was named that can take nothing over.
    """
    run = current_run()
    origin = await version_of(run, params.program, params.version)
    programs = [one for one in await run.read(list_programs, run.owner) if one.name in PROGRAMS]
    known = {one.name: one for one in programs}
    related = [
        one.name
        for one in programs
        if one.name != params.program and compatible_pairs(origin.signature, one.signature)
    ]
    for name in params.targets or []:
        if name not in known:
            raise NotFound(f"There is no program {name!r}.", "unknown_program")
        if name not in related:
            raise BadInput(
                f"{name} is not related to {params.program}: no predictor of one gives the same fields as one"
                f" of the other. Related are: {', '.join(related) or 'none'}.",
                "not_related",
            )
    wanted = related if params.targets is None else list(dict.fromkeys(params.targets))
    return origin, [await target_of(params, origin, known[name]) for name in wanted]


async def target_of(params: PollinateParams, origin: Version, program: ProgramDetail) -> Target:
    """Return what a related program is offered, or why nothing."""
    run = current_run()
    try:
        base = await version_of(run, program.name, None)
    except Conflict as error:
        return Target(program.name, skipped=error.message)
    shipped = run.versions.source(params.program).new.state
    made = list(offers((origin.signature, origin.state), shipped, (base.signature, base.state)))
    if not made:
        why = f"Version {origin.version} of {params.program} has learned nothing that it could take over."
        return Target(program.name, base, skipped=why)
    try:
        material = await examples_of(run, program.name)
        examples = material.splits[Split.VALIDATION][: params.most]
        if len(examples) >= FEWEST:
            await asyncio.to_thread(tried, params.metric, [one.expected for one in examples])
    except BadInput as error:
        return Target(program.name, base, skipped=error.message)
    if len(examples) < FEWEST:
        why = f"It has {len(examples)} examples of its own in the split `validation`; {FEWEST} are needed."
        return Target(program.name, base, examples, skipped=why)
    for one in made:
        checked_state(one.state, base.signature)
    return Target(program.name, base, examples, made)


async def tested(params: PollinateParams, origin: Version, target: Target, caps: Caps) -> Pollinated:
    """Let a program try each offer on its own examples, and store the best one that wins there."""
    if target.base is None or not target.offers:
        number = None if target.base is None else target.base.version
        return Pollinated(
            program=target.program,
            base_version=number,
            examples=len(target.examples),
            skipped=target.skipped,
        )
    base = await score_of(params, target, "base", target.base.state, caps)
    scores = [
        await score_of(params, target, f"{number + 1}", one.state, caps)
        for number, one in enumerate(target.offers)
    ]
    told = Pollinated(
        program=target.program,
        base_version=target.base.version,
        base_score=base,
        examples=len(target.examples),
        offers=[
            Offered(
                kind=one.kind,
                from_predictor=one.from_predictor,
                to_predictor=one.to_predictor,
                score=score,
            )
            for one, score in zip(target.offers, scores, strict=True)
        ],
        skipped="The cap ended it." if caps.reached else None,
    )
    best = winner(base, scores)
    if best is None:
        return told
    version = await adopt(params, origin, target, target.offers[best], told)
    handed = {}
    if params.gate:
        handed = await pass_on(
            *(version, params.metric, Lineage.CROSS_POLLINATION),
            at_once=params.at_once,
            cap_usd=params.cap_usd,
        )
    adopted = {"adopted": target.offers[best].kind, "version": version.version, "version_id": version.id}
    return told.model_copy(update={**adopted, **handed})


async def score_of(
    params: PollinateParams, target: Target, label: str, state: dict[str, object], caps: Caps
) -> float | None:
    """Return the mean score of a state on the program's own examples; none when the cap ended it."""
    name = f"{target.program}.{label}"
    wanted = measured_with(current_run(), target.base.deployment if target.base else None)
    answers = await answer_all(
        *(target.program, name, state, target.examples, caps), at_once=params.at_once, wanted=wanted
    )
    scored = await score_all(
        *(params.metric, name, target.examples, answers, None, caps), at_once=params.at_once
    )
    return mean(scored)


def winner(base: float | None, scores: Sequence[float | None]) -> int | None:
    """Return which offer is best, if it is better than what the program has; the first among equals."""
    if base is None:
        return None
    best = max(((score, -number) for number, score in enumerate(scores) if score is not None), default=None)
    return -best[1] if best is not None and best[0] > base else None


@step(STORE, key="program")
async def kept(program: str, new: NewVersion, examples: Sequence[Example]) -> Version:
    """Store a candidate with the examples that chose it; the same content is stored once."""
    run = current_run()

    async def add(session: WriteSession) -> Version:
        version, _created = await add_version(session, run.owner, program, new)
        await made_with(session, version.id, [one.id for one in examples])
        return version

    return await run.write(add)


async def adopt(
    params: PollinateParams, origin: Version, target: Target, offer: Offer, told: Pollinated
) -> Version:
    """Store what won as a candidate, with where it comes from."""
    base = target.base
    if base is None:
        raise BadInput(f"{target.program} has no version to start from.", "program_version_not_found")
    scores = {
        "metric": params.metric,
        "validation": {"base": told.base_score, "offers": [one.model_dump() for one in told.offers]},
        "base_version": base.version,
        "origin": {"program": params.program, "version": origin.version, "version_id": str(origin.id)},
    }
    new = NewVersion(
        offer.state,
        base.signature,
        VersionOrigin.TRANSFER,
        parent_id=base.id,
        origin_run_id=current_run().id,
        scores=scores,
        note=f"{offer.kind.capitalize()} of {params.program} (version {origin.version}), taken over from"
        f" `{offer.from_predictor}` to `{offer.to_predictor}`.",
        offered_by=origin.id,
        deployment=base.deployment,
    )
    return await kept(target.program, new, target.examples)
