"""The cache over HTTP."""

from decimal import Decimal

from httpx2 import AsyncClient

from contracts.cache import CacheCounts
from database.engine import Database
from database.gateway.cache import tell_cache
from tests.database.test_cache import answer
from tests.database.test_reuses import reuse


async def test_what_the_cache_saved_is_told_and_can_be_forgotten(client: AsyncClient, store: Database):
    counts = CacheCounts(hits=1, misses=1, saved_usd=Decimal("0.25"), saved_ms=2000)
    await store.write(tell_cache, [answer(owner="local")], {}, {("local", "chat"): counts})

    told = (await client.get("/api/v1/cache")).json()
    gone = (await client.delete("/api/v1/cache")).json()

    assert (told["entries"], told["roles"][0]["hit_rate"], told["roles"][0]["saved_usd"]) == (1, 0.5, "0.25")
    assert gone == {"removed": 1}
    assert (await client.get("/api/v1/cache")).json()["entries"] == 0


async def test_uses_for_other_questions_are_listed_for_their_owner(client: AsyncClient, store: Database):
    await store.write(tell_cache, [answer(owner="local")], {}, {}, [], [reuse("local"), reuse("uma")])

    (found,) = (await client.get("/api/v1/cache/reuses")).json()["items"]

    assert (found["question"], found["kept_question"], found["shadow"]) == ("Lima?", "What is Lima?", True)
    assert found["verdict"] is None
    bad = await client.get("/api/v1/cache/reuses", params={"cursor": "nonsense"})
    assert bad.json()["code"] == "bad_cursor"
