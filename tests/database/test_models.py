"""The catalogue: what the file says, what people switched, and which price held since when."""

from decimal import Decimal

import pytest
import sqlalchemy as sa

from contracts.models import ModelEntry
from database.gateway.models import list_models, register_models, switch_model
from database.people.audit import Doer
from database.tables import AuditRow, ModelPriceRow
from runtime.errors import NotFound

ADA = Doer("user:ada", "user:ada")


def entry(name="gpt", **changed) -> ModelEntry:
    told = {
        "kind": "openai",
        "model": "gpt-5-mini",
        "roles": ["chat"],
        "context_tokens": 400_000,
        "input_per_million": Decimal("0.25"),
        "output_per_million": Decimal("2.00"),
        "price_source": "litellm",
    }
    return ModelEntry.model_validate({"name": name, **told, **changed})


async def listed(database):
    async with database.read() as session:
        return {model.name: model for model in await list_models(session)}


async def prices(database):
    query = sa.select(ModelPriceRow.name, ModelPriceRow.input_per_million).order_by(ModelPriceRow.valid_from)
    async with database.read() as session:
        return [tuple(row) for row in await session.execute(query)]


async def test_a_file_becomes_the_catalogue_and_a_model_that_left_it_stays_known(database):
    """The ledger names it: what it was and cost must still be told."""
    await database.write(register_models, [entry("gpt"), entry("claude", kind="anthropic")])
    await database.write(register_models, [entry("claude", roles=["judge"])])

    found = await listed(database)

    assert (found["gpt"].configured, found["claude"].configured) == (False, True)
    assert found["claude"].roles == ["judge"]
    assert found["gpt"].input_per_million == Decimal("0.25")


async def test_a_changed_price_begins_a_line_of_the_history_and_the_same_price_does_not(database):
    """Twenty workers start at once and all tell the same file."""
    for usd in ("0.25", "0.25", "0.30", "0.30", "0.25"):
        await database.write(register_models, [entry(input_per_million=Decimal(usd))])

    assert await prices(database) == [
        ("gpt", Decimal("0.25")),
        ("gpt", Decimal("0.3")),
        ("gpt", Decimal("0.25")),
    ]


async def test_a_model_without_a_price_has_none_and_is_not_free(database):
    unpriced = entry(input_per_million=None, output_per_million=None, price_source=None)
    await database.write(register_models, [unpriced])

    model = (await listed(database))["gpt"]
    assert (model.input_per_million, model.price_source) == (None, None)


async def test_a_switch_holds_across_restarts_of_workers_and_is_in_the_audit_log(database):
    """A worker that starts tells its file again; what a person switched off must stay off."""
    await database.write(register_models, [entry()])
    off = await database.write(switch_model, "gpt", enabled=False, by=ADA)
    assert (off.enabled, off.configured) == (False, True)

    await database.write(register_models, [entry(context_tokens=1)])

    assert (await listed(database))["gpt"].enabled is False
    async with database.read() as session:
        row = (await session.execute(sa.select(AuditRow.actor, AuditRow.action, AuditRow.target))).one()
    assert tuple(row) == ("user:ada", "model.switched", "model:gpt")


async def test_a_model_that_nobody_knows_cannot_be_switched(database):
    with pytest.raises(NotFound) as caught:
        await database.write(switch_model, "gpt", enabled=True, by=ADA)

    assert caught.value.code == "model_not_found"
