"""What is measured and learned with: versions, and examples that say nothing twice."""

import asyncio
from dataclasses import dataclass, field

from contracts.example_texts import misfit
from contracts.examples import Example, Split
from contracts.near_duplicates import near_duplicates
from contracts.program_states import refuse_mismatch
from contracts.programs import ProgramDetail, Version
from database.learning.examples import all_examples
from database.learning.programs import get_program, get_version, version_by_id
from database.patience import outlast
from flows.durable.run import Run
from llm.routing import Wanted
from modules.programs import PROGRAMS, Kind, build, call_inputs
from runtime.errors import BadInput

TOLD = 5


@dataclass(slots=True)
class Material:
    """Examples by split; `left_out` counts those of validation and test that another split nearly has."""

    splits: dict[Split, list[Example]] = field(default_factory=dict)
    left_out: dict[Split, int] = field(default_factory=dict)


async def examples_of(run: Run, program: str) -> Material:
    """Return the owner's examples for a program, in the order of their hashes.

    Raises:
        BadInput: `bad_examples`: some were stored for other code, and do not fit what the program takes now.
    """
    found = await run.read(all_examples, run.owner, program)
    await asyncio.to_thread(refuse_misfits, await run.read(get_program, run.owner, program), found)
    doubles = {one.example_id for one in await asyncio.to_thread(near_duplicates, found)}
    material = Material()
    for split in Split:
        mine = [one for one in found if one.split == split]
        material.splits[split] = [one for one in mine if one.id not in doubles]
        material.left_out[split] = len(mine) - len(material.splits[split])
    return material


async def version_of(run: Run, program: str, number: int | None) -> Version:
    """Return a version that the code can load; none is the active one, or what ships where nothing ran yet.

    Raises:
        NotFound: `unknown_program` or `program_version_not_found`.
        Conflict: `signature_changed`.
    """
    build(program)

    async def read() -> Version:
        async with run.database.read() as session:
            if number is not None:
                return await get_version(session, run.owner, program, number)
            return await version_by_id(session, run.owner, run.programs[program].version_id)

    if number is None and program not in run.programs:
        run.programs |= await run.versions.pin_active(run, program)
    version = await outlast(read)
    refuse_mismatch(program, version.signature, run.versions.source(program).new.signature)
    return version


def refuse_misfits(program: ProgramDetail, examples: list[Example]) -> None:
    """Do nothing when the program can take every example.

    Raises:
        BadInput: `bad_examples`, naming the first of them.
    """
    kind = PROGRAMS[program.name]
    problems = [(one.id, why) for one in examples if (why := misfit(one, program) or untaken(kind, one))]
    if problems:
        told = "; ".join(f"{example}: {problem}" for example, problem in problems[:TOLD])
        more = f"; and {len(problems) - TOLD} more" if len(problems) > TOLD else ""
        raise BadInput(
            f"{len(problems)} examples do not fit {program.name}: {told}{more}. Delete them, or import them"
            " anew.",
            "bad_examples",
        )


def untaken(kind: Kind, example: Example) -> str | None:
    """Return which input of an example is of a type that a program does not take; none when it takes all."""
    try:
        call_inputs(kind, example.inputs)
    except BadInput as error:
        return error.message.removesuffix(".")
    return None


def measured_with(run: Run, deployment: str | None) -> Wanted | None:
    """Return who answers where a version for a deployment is measured: it alone, and nobody for it.

    None: as the role's route says; also where the version's deployment is not there any more, as for people.
    """
    return Wanted(deployment, alone=True) if deployment and run.door.has(deployment) else None


def refuse_unknown(run: Run, deployment: str | None) -> None:
    """Do nothing when a deployment can be asked, or none is named.

    Raises:
        BadInput: `unknown_deployment`, with what there is.
    """
    if deployment is not None and not run.door.has(deployment):
        raise BadInput(
            f"No enabled deployment is called {deployment!r}; there are {', '.join(run.door.deployments())}.",
            "unknown_deployment",
        )


def enough(examples: list[Example], needed: int, split: Split, program: str) -> None:
    """Do nothing when there are enough examples.

    Raises:
        BadInput: `too_few_examples`, before any money is spent.
    """
    if len(examples) < needed:
        raise BadInput(
            f"{program} has {len(examples)} examples to use in the split `{split}`, and {needed} are needed."
            " Import more, or give feedback with corrections; each split gets its share by the inputs' hash.",
            "too_few_examples",
        )
