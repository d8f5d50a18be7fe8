"""Programs and their versions, and which of them answers."""

import asyncio

import pytest

from contracts.programs import FieldShape, VersionOrigin, VersionStatus
from database.learning.programs import (
    NewVersion,
    add_version,
    get_program,
    get_version,
    list_programs,
    list_versions,
    version_by_id,
)
from database.learning.serving import (
    list_changes,
    pin_versions,
    programs_of,
    promote,
    rollback,
    serving_of,
    ship,
    start_canary,
)
from flows.durable.places import canary_place
from runtime.errors import Conflict, NotFound
from runtime.ids import new_id
from tests.fixtures.made_programs import NAME, SIGNATURE, add, register, state
from tests.fixtures.made_runs import accepted

MORE = {"sort": [*SIGNATURE["sort"], FieldShape(name="why", side="output", type={"type": "string"})]}


def source(instructions: str, signature=SIGNATURE) -> NewVersion:
    return NewVersion(state(instructions), signature, VersionOrigin.SOURCE)


async def read(database, query, *args, **kwargs):
    async with database.read() as session:
        return await query(session, *args, **kwargs)


async def active(database, owner="local"):
    serving = await read(database, serving_of, owner)
    return (await read(database, version_by_id, owner, serving[NAME].active)).version


async def change(database, what, *args, reason="because", **values):
    return await database.write(what, "local", NAME, *args, by="ada", reason=reason, **values)


async def test_the_same_content_is_one_version(database):
    await register(database)
    first = await add(database, "a")
    assert await add(database, "a") == first
    second = await add(database, "b", parent_id=first.id, note="better")
    page = await read(database, list_versions, "local", NAME)
    assert [found.version for found in page.items] == [2, 1]
    assert (second.parent_id, second.state, second.status) == (first.id, state("b"), "candidate")


async def test_the_same_content_for_another_deployment_is_another_version(database):
    """It answers at another model, so it is promoted and rolled back by itself."""
    await register(database)
    first = await add(database, "a")
    moved = await add(database, "a", deployment="cheap", parent_id=first.id)
    assert await add(database, "a", deployment="cheap") == moved
    assert (moved.version, moved.deployment, moved.content_hash) == (2, "cheap", first.content_hash)
    assert (await add(database, "a")).deployment == ""


async def test_versions_stored_at_once_are_numbered_without_gaps(database):
    await register(database)
    await asyncio.gather(*(add(database, f"{n % 5}") for n in range(20)))
    page = await read(database, list_versions, "local", NAME)
    assert sorted(found.version for found in page.items) == [1, 2, 3, 4, 5]


async def test_versions_are_listed_page_by_page(database):
    await register(database)
    for n in range(5):
        await add(database, f"{n}")
    first = await read(database, list_versions, "local", NAME, limit=3)
    second = await read(database, list_versions, "local", NAME, limit=3, cursor=first.next_cursor)
    assert [one.version for one in first.items + second.items] == [5, 4, 3, 2, 1]
    assert second.next_cursor is None


async def test_somebody_elses_version_does_not_exist(database):
    """Its demos are made of that owner's examples."""
    await register(database)
    theirs = await add(database, "theirs", owner="eve")
    await database.write(promote, "eve", NAME, theirs.version, by="eve", reason="")
    with pytest.raises(NotFound):
        await read(database, get_version, "local", NAME, theirs.version)
    with pytest.raises(NotFound):
        await read(database, version_by_id, "local", theirs.id)
    assert (await read(database, list_versions, "local", NAME)).items == []
    assert await read(database, serving_of, "local") == {}
    (program,) = await read(database, list_programs, "local")
    assert (program.active, program.versions) == (None, 0)
    assert (await add(database, "mine")).version == 1


async def test_one_version_is_active_whoever_promotes_at_the_same_time(database):
    await register(database)
    for n in range(6):
        await add(database, f"{n}")
    await asyncio.gather(*(change(database, promote, n) for n in range(1, 7)))
    page = await read(database, list_versions, "local", NAME)
    assert sorted(one.status for one in page.items) == ["active", *["retired"] * 5]
    assert len((await read(database, list_changes, "local", NAME)).items) == 6


async def test_promoting_the_active_version_again_changes_nothing(database):
    await register(database)
    await add(database, "a")
    await change(database, promote, 1)
    await change(database, promote, 1)
    assert len((await read(database, list_changes, "local", NAME)).items) == 1


async def test_a_rollback_goes_back_step_by_step_and_says_so(database):
    await register(database)
    for n in range(3):
        await add(database, f"{n}")
        await change(database, promote, n + 1)
    assert (await change(database, rollback)).version == 2
    assert (await change(database, rollback, reason="still bad")).version == 1
    with pytest.raises(Conflict) as caught:
        await change(database, rollback)
    assert caught.value.code == "nothing_to_roll_back"
    page = await read(database, list_changes, "local", NAME, limit=2)
    newest = page.items[0]
    assert (newest.action, newest.from_version, newest.to_version) == ("rollback", 2, 1)
    assert (newest.by, newest.reason) == ("ada", "still bad")
    rest = await read(database, list_changes, "local", NAME, cursor=page.next_cursor)
    assert [one.action for one in rest.items] == ["promote"] * 3


async def test_what_ships_answers_until_something_better_does(database):
    await register(database)
    first = await database.write(ship, "local", NAME, source("one"))
    assert (first.status, first.origin, await active(database)) == ("active", "source", 1)
    await database.write(ship, "local", NAME, source("two"))
    assert await active(database) == 2
    await add(database, "optimized")
    await change(database, promote, 3)
    await database.write(ship, "local", NAME, source("three"))
    assert await active(database) == 3


async def test_old_workers_do_not_take_back_what_new_ones_shipped(database):
    """A rolling deployment runs both for a while."""
    await register(database)
    await database.write(ship, "local", NAME, source("old"))
    await database.write(ship, "local", NAME, source("new"))
    again = await database.write(ship, "local", NAME, source("old"))
    assert (again.status, await active(database)) == (VersionStatus.RETIRED, 2)


async def test_a_changed_signature_lets_the_code_answer_and_refuses_the_old_versions(database):
    """A state of other fields would load in silence and answer nonsense."""
    await register(database)
    await add(database, "learned")
    await change(database, promote, 1)
    await register(database, MORE)
    await database.write(ship, "local", NAME, source("shipped", MORE))
    assert await active(database) == 2
    (newest, *_) = (await read(database, list_changes, "local", NAME)).items
    assert "output `sort.why` is new" in newest.reason
    with pytest.raises(Conflict, match=r"output `sort\.why` is new") as caught:
        await change(database, promote, 1)
    assert caught.value.code == "signature_changed"
    with pytest.raises(Conflict) as caught:
        await change(database, rollback)
    assert caught.value.code == "signature_changed"


async def test_a_canary_answers_beside_the_active_version_until_it_is_ended(database):
    await register(database)
    for n in range(3):
        await add(database, f"{n}")
    with pytest.raises(Conflict):
        await change(database, start_canary, 2, percent=10)
    await change(database, promote, 1)
    canary = await change(database, start_canary, 2, percent=10)
    assert (canary.status, await active(database)) == ("canary", 1)
    await change(database, start_canary, 2, percent=25)
    found = (await read(database, serving_of, "local"))[NAME]
    assert (found.canary, found.canary_percent) == (canary.id, 25)
    program = await read(database, get_program, "local", NAME)
    assert (program.active, program.canary, program.canary_percent) == (1, 2, 25)
    for wrong in (1, 3):
        with pytest.raises(Conflict) as caught:
            await change(database, start_canary, wrong, percent=10)
        assert caught.value.code == "no_canary"
    assert (await change(database, rollback)).version == 1
    assert (await read(database, serving_of, "local"))[NAME].canary is None
    await change(database, start_canary, 3, percent=50)
    await change(database, promote, 3)
    assert (await active(database), (await read(database, serving_of, "local"))[NAME].canary) == (3, None)
    changes = (await read(database, list_changes, "local", NAME)).items
    assert [one.action for one in changes] == [
        *("promote", "canary", "end_canary", "canary", "canary", "promote"),
    ]
    assert changes[-2].reason == "10 %. because"


def test_a_subject_always_meets_the_same_side_of_a_canary():
    canary, other = new_id(), new_id()
    places = [canary_place(canary, f"chat:{n}") for n in range(2_000)]
    assert places == [canary_place(canary, f"chat:{n}") for n in range(2_000)]
    assert sum(place < 10 for place in places) / 2_000 == pytest.approx(0.1, abs=0.03)
    again = [canary_place(other, f"chat:{n}") for n in range(2_000)]
    both = sum(one < 10 and two < 10 for one, two in zip(places, again, strict=True))
    assert both < 60


async def test_a_run_keeps_the_versions_that_its_first_attempt_got(database):
    await register(database)
    first, second = await add(database, "a"), await add(database, "b")
    run = await accepted(database)
    assert await database.write(pin_versions, run.id, {NAME: first.id}) == {NAME: first.id}
    assert await database.write(pin_versions, run.id, {NAME: second.id}) == {NAME: first.id}
    (use,) = await read(database, programs_of, "local", run.id)
    assert (use.program, use.version) == (NAME, 1)
    assert await read(database, programs_of, "eve", run.id) == []


async def test_what_is_not_there_is_not_found(database):
    for code, query, args in (
        ("unknown_program", get_program, ("local", NAME)),
        ("unknown_program", list_versions, ("local", NAME)),
        ("unknown_program", list_changes, ("local", NAME)),
        ("program_version_not_found", version_by_id, ("local", new_id())),
    ):
        with pytest.raises(NotFound) as caught:
            await read(database, query, *args)
        assert caught.value.code == code
    with pytest.raises(NotFound):
        await database.write(add_version, "local", "no.such", source("x"))
    await register(database)
    with pytest.raises(NotFound) as caught:
        await change(database, promote, 7)
    assert caught.value.code == "program_version_not_found"
