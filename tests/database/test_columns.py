"""What is stored comes back the same from both databases."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import StatementError

from contracts.chat import Author
from database.columns import Money
from database.engine import Database, WriteSession
from database.queue.runs import get_run
from database.tables import ChatRow, RunRow, core
from database.talk.chats import create_chat
from database.talk.messages import add_message, get_message
from tests.fixtures.made_runs import accepted

RUNS = core(RunRow)


async def set_columns(session: WriteSession, run_id, **values) -> None:
    await session.execute(sa.update(RUNS).where(RUNS.c.id == run_id).values(**values))


async def column(database: Database, run_id, name: str):
    async with database.read() as session:
        return (await session.execute(sa.select(RUNS.c[name]).where(RUNS.c.id == run_id))).scalar_one()


async def test_a_time_in_another_zone_comes_back_in_utc_with_its_microseconds(database):
    run = await accepted(database)
    tokyo = timezone(timedelta(hours=9))
    moment = datetime(2026, 11, 21, 8, 30, 0, 123457, tzinfo=tokyo)
    await database.write(set_columns, run.id, started_at=moment)
    async with database.read() as session:
        found = (await get_run(session, "local", run.id)).started_at
    assert found == moment
    assert found.tzinfo is UTC
    assert found.microsecond == 123457


async def test_a_time_without_a_zone_is_refused(database):
    run = await accepted(database)
    with pytest.raises(StatementError, match="without a zone"):
        await database.write(set_columns, run.id, started_at=datetime(2026, 1, 1))  # noqa: DTZ001


async def test_the_clock_of_the_database_agrees_with_ours_about_utc(database):
    """Leases are compared with it: an hour off would reap every run, or none."""
    run = await accepted(database)
    available = await column(database, run.id, "available_at")
    assert abs(available - datetime.now(UTC)) < timedelta(seconds=30)


@pytest.mark.parametrize("amount", ["0", "0.0000000001", "0.1", "100", "123456789.0123456789", "-5.25"])
async def test_money_is_exact(database, amount):
    run = await accepted(database)
    await database.write(set_columns, run.id, cost_usd=Decimal(amount))
    assert await column(database, run.id, "cost_usd") == Decimal(amount)


async def test_a_tenth_of_a_cent_added_a_thousand_times_in_sql_is_a_dollar(database):
    """Binary floating point makes 0.9999999999999062 of it."""
    run = await accepted(database)

    async def add_often(session: WriteSession) -> None:
        for _ in range(1000):
            await set_columns(session, run.id, cost_usd=RUNS.c.cost_usd + Decimal("0.001"))

    await database.write(add_often)
    assert await column(database, run.id, "cost_usd") == Decimal(1)


async def test_a_sum_of_money_is_exact_in_sql(database):
    for amount in ("0.1", "0.2", "0.0000000003"):
        run = await accepted(database)
        await database.write(set_columns, run.id, cost_usd=Decimal(amount))
    async with database.read() as session:
        total = (await session.execute(sa.select(sa.func.sum(RUNS.c.cost_usd)))).scalar_one()
    assert total == Decimal("0.3000000003")


def test_money_reads_without_trailing_zeros_and_without_an_exponent_for_whole_dollars():
    dialect = sa.create_engine("sqlite://").dialect
    assert str(Money().process_result_value(10**12, dialect)) == "100"
    assert str(Money().process_result_value(0, dialect)) == "0"


async def test_a_float_is_refused_as_money(database):
    run = await accepted(database)
    with pytest.raises(StatementError, match="money is a Decimal"):
        await database.write(set_columns, run.id, cost_usd=0.1)


async def test_more_places_than_are_stored_are_rounded_half_to_even_on_both(database):
    run = await accepted(database)
    await database.write(set_columns, run.id, cost_usd=Decimal("0.00000000025"))
    assert await column(database, run.id, "cost_usd") == Decimal("0.0000000002")


@pytest.mark.parametrize(
    "text",
    ["", "naïve 😀 漢字", "NUL \x00 inside", "trailing space ", "'; DROP TABLE runs;", "%s %(x)s ? :x \\"],
)
async def test_any_text_comes_back_as_it_was(database, text):
    chat = await database.write(create_chat, "local")
    said = await database.write(
        add_message, "local", chat_id=chat.id, author=Author.USER, content=text, meta={"text": text}
    )
    async with database.read() as session:
        found = await get_message(session, "local", said.id)
    assert found.content == text
    assert found.meta == {"text": text}


async def test_a_text_longer_than_64_kib_is_kept_whole(database):
    """MariaDB's TEXT ends there, and without strict mode it cuts silently."""
    chat = await database.write(create_chat, "local")
    text = "ü" * 5_000_000
    said = await database.write(add_message, "local", chat_id=chat.id, author=Author.USER, content=text)
    async with database.read() as session:
        assert (await get_message(session, "local", said.id)).content == text


async def test_a_lone_surrogate_from_a_model_does_not_break_the_write(database):
    """JSON allows its escape, UTF-8 cannot hold it, and MariaDB refuses both."""
    chat = await database.write(create_chat, "local")
    said = await database.write(
        add_message,
        "local",
        chat_id=chat.id,
        author=Author.USER,
        content="a\ud800b",
        meta={"raw": "\ud800", "pair": "\ud83d\ude00"},
    )
    async with database.read() as session:
        found = await get_message(session, "local", said.id)
    assert found.content == "a\ufffdb"
    assert found.meta == {"raw": "\ufffd", "pair": "😀"}


async def test_json_nested_deeper_than_32_is_stored(database):
    """MariaDB's own JSON type refuses it; a model's answer may be anything."""
    deep: dict = {}
    for _ in range(200):
        deep = {"in": deep}
    run = await accepted(database)
    await database.write(set_columns, run.id, result=deep)
    assert await column(database, run.id, "result") == deep


async def test_an_absent_json_value_is_null_in_sql(database):
    run = await accepted(database)
    async with database.read() as session:
        query = sa.select(RUNS.c.id).where(RUNS.c.result.is_(None))
        assert (await session.execute(query)).scalars().all() == [run.id]


async def test_json_that_is_no_json_is_refused(database):
    """Python writes and reads NaN; every other reader of the column stumbles over it."""
    run = await accepted(database)
    with pytest.raises(StatementError, match="not JSON compliant"):
        await database.write(set_columns, run.id, result={"score": float("nan")})


async def test_keys_that_differ_in_case_accent_or_trailing_space_are_different_keys(database):
    """MariaDB's default collation takes all four for one."""
    runs = [await accepted(database, idempotency_key=key) for key in ("key", "KEY", "kéy", "key ")]
    assert len({run.id for run in runs}) == 4


async def test_a_text_that_is_too_long_for_its_column_is_refused_or_kept_but_never_cut(database):
    chat = await database.write(create_chat, "local", "t" * 1000)
    async with database.read() as session:
        title = (await session.execute(sa.select(ChatRow.title))).scalar_one()
    assert title == "t" * 200 == chat.title
