"""Claims to ask a question for all workers: one has it, and it ends."""

import asyncio

from database.gateway.cache import (
    claim_answer,
    look_for_answer,
    renew_claims,
    tell_cache,
    tidy_cache,
)
from runtime.ids import new_id
from tests.database.test_cache import answer

KEY = "k1".ljust(64, "0")


async def claimed(database, claim_id, seconds=60.0):
    return await database.write(claim_answer, KEY, "ada", claim_id, seconds)


async def looked(database):
    async with database.read() as session:
        return await look_for_answer(session, KEY)


async def test_of_many_that_want_to_ask_one_does(database):
    found = await asyncio.gather(*(claimed(database, new_id()) for _ in range(10)))

    assert sum(one.mine for one in found) == 1
    assert all(one.answer is None for one in found)
    assert (await looked(database)).mine is False


async def test_the_answer_and_the_end_of_its_claim_come_together(database):
    holder = new_id()
    await claimed(database, holder)

    await database.write(tell_cache, [answer()], {}, {}, over={KEY: holder})

    found = await looked(database)
    assert (found.mine, found.answer.response) == (False, answer().response)
    # Who looked before it was there hears of it instead of asking again, and leaves no claim behind.
    late = await claimed(database, new_id())
    assert (late.mine, late.answer is None) == (False, False)
    await database.write(tell_cache, [], {}, {}, over={KEY: new_id()})
    assert (await looked(database)).mine is False


async def test_a_claim_that_is_given_up_without_an_answer_leaves_the_way_free(database):
    holder = new_id()
    await claimed(database, holder)

    await database.write(tell_cache, [], {}, {}, over={KEY: holder})

    assert (await looked(database)).mine
    assert (await claimed(database, new_id())).mine


async def test_a_claim_whose_lease_ran_out_is_taken_over_by_one(database):
    gone = new_id()
    await claimed(database, gone, seconds=0.01)
    await asyncio.sleep(0.1)
    assert (await looked(database)).mine

    found = await asyncio.gather(*(claimed(database, new_id()) for _ in range(5)))

    assert sum(one.mine for one in found) == 1
    # Who lost it neither renews nor ends what is another's now.
    await database.write(renew_claims, {KEY: gone}, 0.0)
    await database.write(tell_cache, [], {}, {}, over={KEY: gone})
    assert (await looked(database)).mine is False


async def test_a_claim_that_is_renewed_lasts(database):
    holder = new_id()
    await claimed(database, holder, seconds=2)
    await database.write(renew_claims, {KEY: holder}, 60)
    await asyncio.sleep(2.1)

    assert (await claimed(database, new_id())).mine is False


async def test_claims_of_the_dead_are_tidied_away(database):
    await claimed(database, new_id(), seconds=0.01)
    await asyncio.sleep(0.1)

    await database.write(tidy_cache, 10_000)

    # The one that is found now is a new row.
    assert (await claimed(database, new_id())).mine
