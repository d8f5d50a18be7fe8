"""The embedded Prefect server. Its SQLite is the reason that one machine is enough."""

import asyncio
from pathlib import Path

import httpx
import sqlalchemy as sa
from prefect.server.database.configurations import AioSqliteConfiguration

from deployments.prefect_sqlite import TurnTakingSqlite
from tests.fixtures.prefect_server import PrefectServer


def test_the_real_server_starts_and_lists_flow_runs_for_a_client_that_sends_nulls(
    prefect_server: PrefectServer,
):
    """Guards the fastapi pin: from 0.151 on Prefect 3.8.8 answers 422, from 0.155 on it does not start."""
    body = {"flow_runs": None, "deployments": None, "work_pools": None, "sort": "ID_DESC", "limit": 5}

    answer = httpx.post(f"{prefect_server.url}/flow_runs/filter", json=body, trust_env=False)

    assert answer.status_code == 200
    assert isinstance(answer.json(), list)


def test_the_server_serves_its_pages_and_promotes_nothing(prefect_server: PrefectServer):
    """People start flows from the UI, so it must come with the embedded server."""
    root = prefect_server.url.removesuffix("/api")

    page = httpx.get(root, trust_env=False, follow_redirects=True)
    settings = httpx.get(f"{prefect_server.url}/admin/settings", trust_env=False).json()

    assert "<html" in page.text.lower()
    assert settings["server"]["ui"]["show_promotional_content"] is False
    assert settings["server"]["analytics_enabled"] is False


async def test_four_writers_that_read_first_all_succeed_where_stock_loses_three(tmp_path: Path):
    """Stock answers 503 here: a snapshot that another writer has overtaken can never be written from."""
    stock, ours = await asyncio.gather(
        read_then_write(AioSqliteConfiguration, tmp_path / "stock.db"),
        read_then_write(TurnTakingSqlite, tmp_path / "ours.db"),
    )

    assert ours == [None] * 4
    assert any("database is locked" in str(problem) for problem in stock)


async def read_then_write(kind: type[AioSqliteConfiguration], path: Path) -> list[BaseException | None]:
    """Let four transactions read a counter and then raise it, at once; return how each ended."""
    config = kind(connection_url=f"sqlite+aiosqlite:///{path}", timeout=60)
    engine = await config.engine()
    try:
        async with await config.session(engine) as session, config.begin_transaction(session):
            await session.execute(sa.text("CREATE TABLE counter (n INTEGER)"))
            await session.execute(sa.text("INSERT INTO counter VALUES (0)"))

        async def raise_it() -> None:
            async with await config.session(engine) as session, config.begin_transaction(session):
                n = (await session.execute(sa.text("SELECT n FROM counter"))).scalar_one()
                # All of the stock ones have read by then, also where the machine is busy.
                await asyncio.sleep(0.3)
                await session.execute(sa.text("UPDATE counter SET n = :n"), {"n": n + 1})

        return await asyncio.gather(*(raise_it() for _ in range(4)), return_exceptions=True)
    finally:
        await engine.dispose()
