"""Examples that programs learn from and are measured with."""

import asyncio
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.bodies import StrictRoute
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import ResourcesNow
from api.routes.programs import SENT, Name, Reader, Writer
from contracts.example_texts import read_examples
from contracts.examples import Example, ExampleCounts, ExampleImport, Imported, NewExample, Split
from contracts.near_duplicates import near_duplicates
from database.learning import examples, feedback
from database.learning.programs import get_program
from runtime.personal import mask_all, mask_named

router = APIRouter(tags=["examples"], route_class=StrictRoute)


class ExamplePage(BaseModel):
    """Some examples of a program."""

    items: list[Example]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


@router.get(
    "/programs/{name}/examples", responses=errors("unknown_program", "bad_cursor", "invalid_parameters")
)
async def list_examples(
    name: Name,
    caller: Reader,
    resources: ResourcesNow,
    split: Split | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ExamplePage:
    """List the examples of a program, newest first."""
    async with resources.database.read() as session:
        await get_program(session, caller.owner, name)
        page = await examples.list_examples(
            session, caller.owner, name, split=split, limit=limit, cursor=cursor
        )
    return ExamplePage(items=page.items, next_cursor=page.next_cursor)


@router.get("/programs/{name}/examples/counts", responses=errors("unknown_program", "invalid_parameters"))
async def count_examples(name: Name, caller: Reader, resources: ResourcesNow) -> ExampleCounts:
    """Count the examples by split, and name those of two splits that say almost the same."""
    async with resources.database.read() as session:
        await get_program(session, caller.owner, name)
        found = await examples.all_examples(session, caller.owner, name)
    counts = {str(split): sum(one.split == split for one in found) for split in Split}
    return ExampleCounts(**counts, near_duplicates=await asyncio.to_thread(near_duplicates, found))


@router.post("/programs/{name}/examples", responses=errors("unknown_program", "bad_examples", *SENT))
async def import_examples(
    name: Name, body: ExampleImport, caller: Writer, resources: ResourcesNow
) -> Imported:
    """Store examples from JSONL or CSV. A line that cannot be used refuses all, and every such line is named.

    Personal data is taken out first (EXAMPLES_MASK). The split of each follows from its inputs.
    """
    mask = mask_named(resources.settings.examples_mask)
    async with resources.database.read() as session:
        program = await get_program(session, caller.owner, name)
    read = await asyncio.to_thread(read_examples, body, program)
    masked = [
        NewExample(inputs=mask_all(one.inputs, mask), expected=mask_all(one.expected, mask)) for one in read
    ]
    return await resources.database.write(examples.import_examples, caller.owner, name, masked)


@router.delete(
    "/examples/{example_id}", status_code=204, responses=errors("example_not_found", "invalid_parameters")
)
async def delete_example(example_id: UUID, caller: Writer, resources: ResourcesNow) -> None:
    """Delete an example for good. Versions that were made with it keep what they learned."""
    await resources.database.write(examples.delete_example, caller.owner, example_id)


@router.post(
    "/runs/{run_id}/example",
    status_code=201,
    responses={
        200: {
            "model": Example,
            "description": "Its inputs were known: the example says now what the run did.",
        },
        **errors(
            "run_not_found", "unknown_program", "nothing_to_learn", "bad_examples", "invalid_parameters"
        ),
    },
)
async def make_example_of_run(
    run_id: UUID, response: Response, caller: Writer, resources: ResourcesNow
) -> Example:
    """Make a good run an example: what it answered is what is expected."""
    mask = mask_named(resources.settings.examples_mask)
    example, created = await resources.database.write(feedback.promote_run, caller.owner, run_id, mask)
    response.status_code = 201 if created else 200
    return example
