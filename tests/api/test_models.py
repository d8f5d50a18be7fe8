"""Models over HTTP."""

from httpx2 import AsyncClient

from contracts.models import Seen
from database.engine import Database
from database.gateway.health import tell_health
from database.gateway.models import register_models
from database.queue.workers import announce_worker
from tests.database.test_models import entry


async def test_the_catalogue_tells_prices_exactly(client: AsyncClient, store: Database):
    await store.write(register_models, [entry(), entry("mystery", input_per_million=None, price_source=None)])

    models = (await client.get("/api/v1/models")).json()["items"]

    assert [model["name"] for model in models] == ["gpt", "mystery"]
    assert (models[0]["input_per_million"], models[0]["price_source"]) == ("0.25", "litellm")
    assert (models[1]["input_per_million"], models[1]["price_source"]) == (None, None)


async def test_a_model_is_switched_off_and_on(client: AsyncClient, store: Database):
    await store.write(register_models, [entry()])

    for enabled in (False, True):
        answer = await client.patch("/api/v1/models/gpt", json={"enabled": enabled})
        assert (answer.status_code, answer.json()["enabled"]) == (200, enabled)

    missing = await client.patch("/api/v1/models/nobody", json={"enabled": True})
    assert (missing.status_code, missing.json()["code"]) == (404, "model_not_found")
    wrong = await client.patch("/api/v1/models/gpt", json={"enabled": "maybe", "price": 0})
    assert wrong.status_code == 422


async def test_providers_show_who_rests_and_what_is_wrong_with_the_file(client: AsyncClient, store: Database):
    await store.write(register_models, [entry(), entry("claude")])
    await store.write(tell_health, {"claude": Seen(answers=1, latencies={3: 1})}, {"gpt": 60})
    models = {"roles": {"chat": ["gpt"], "judge": ["gpt", "claude"]}, "problem": "providers.yaml:3: no"}
    await store.write(
        announce_worker, worker="w", pool="batch", host="h", pid=1, capacity=1, running=0, models=models
    )

    body = (await client.get("/api/v1/providers")).json()
    claude, gpt = body["items"]

    assert (claude["answers"], claude["error_rate"], claude["rests_until"]) == (1, 0, None)
    assert gpt["rests_until"] is not None
    assert body["problems"] == ["providers.yaml:3: no"]
    ready = (await client.get("/readyz?need=models")).json()
    assert ready["checks"]["models"]["detail"] == "chat: gpt (away); judge: claude, gpt (away)"
    assert ready["checks"]["models"]["ok"] is False


async def test_a_roles_routing_is_overridden_shown_and_restored(client: AsyncClient, store: Database):
    await store.write(register_models, [entry(), entry("claude")])

    put = await client.put("/api/v1/routing/chat", json={"ask": ["claude"], "reason": "a trial"})
    assert (put.status_code, put.json()["source"], put.json()["set_by"]) == (200, "person", "local")
    shown = (await client.get("/api/v1/providers")).json()["overrides"]
    assert [(one["role"], one["ask"]) for one in shown] == [("chat", ["claude"])]
    assert (await client.get("/api/v1/routing")).json()["items"] == shown
    wrong = await client.put("/api/v1/routing/chat", json={"ask": ["nobody"]})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "unknown_deployment")

    assert (await client.delete("/api/v1/routing/chat")).status_code == 204
    again = await client.delete("/api/v1/routing/chat")
    assert (again.status_code, again.json()["code"]) == (404, "override_not_found")
