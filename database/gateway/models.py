"""The catalogue of models: told by the workers from their file, switched on and off by people."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite

from contracts.models import Model, ModelEntry
from database.engine import ReadSession, WriteSession
from database.people.audit import Doer, record
from database.statements import changed_rows, is_sqlite
from database.tables import ModelPriceRow, ModelRow, core
from runtime.clock import utcnow
from runtime.errors import NotFound
from runtime.ids import new_id

_MODELS = core(ModelRow)
_PRICES = core(ModelPriceRow)
_PRICE = ("input_per_million", "output_per_million", "cached_input_per_million", "price_source", "model")
_COLUMNS = [_MODELS.c[name] for name in Model.model_fields]


async def register_models(session: WriteSession, entries: Sequence[ModelEntry]) -> None:
    """Write what the file says now. A changed price begins a new line of the model's history.

    Models that no longer stand in the file stay, as not configured: the ledger names them.
    """
    now = utcnow()
    for entry in sorted(entries, key=lambda one: one.name):
        told = entry.model_dump()
        price = {name: told.pop(name) for name in _PRICE}
        fixed = {"enabled": True, "priced_at": now, **price}
        changing = {**told, "configured": True, "updated_at": now}
        name = changing.pop("name")
        await session.execute(_put(session, {"name": name, **fixed}, changing))
        same = sa.and_(*(_MODELS.c[each].is_not_distinct_from(value) for each, value in price.items()))
        mine = sa.update(_MODELS).where(_MODELS.c.name == name)
        if (
            await changed_rows(session, mine.where(~same).values(**price, priced_at=now))
            or not (
                await session.execute(sa.select(_PRICES.c.id).where(_PRICES.c.name == name).limit(1))
            ).all()
        ):
            await session.execute(sa.insert(_PRICES).values(id=new_id(), name=name, valid_from=now, **price))
    gone = _MODELS.c.name.not_in([entry.name for entry in entries])
    await session.execute(sa.update(_MODELS).where(gone, _MODELS.c.configured).values(configured=False))


async def list_models(session: ReadSession) -> list[Model]:
    """Return the whole catalogue by name."""
    rows = await session.execute(sa.select(*_COLUMNS).order_by(_MODELS.c.name))
    return [Model.model_validate(row, from_attributes=True) for row in rows]


async def switch_model(session: WriteSession, name: str, *, enabled: bool, by: Doer) -> Model:
    """Switch a model on or off for all workers, which hear of it within a second.

    Raises:
        NotFound: `model_not_found`.
    """
    values: dict[str, Any] = {"enabled": enabled, "switched_by": by.actor, "updated_at": utcnow()}
    await session.execute(sa.update(_MODELS).where(_MODELS.c.name == name).values(values))
    row = (await session.execute(sa.select(*_COLUMNS).where(_MODELS.c.name == name))).one_or_none()
    if row is None:
        raise NotFound("There is no model of that name; GET /api/v1/models lists them.", "model_not_found")
    await record(session, by, "model.switched", f"model:{name}", enabled=enabled)
    return Model.model_validate(row, from_attributes=True)


def _put(session: WriteSession, fixed: dict[str, Any], changing: dict[str, Any]) -> sa.Insert:
    """Insert a row, or change the changing part of the one that is there."""
    values = {**fixed, **changing}
    if is_sqlite(session):
        return (
            sqlite.insert(_MODELS)
            .values(values)
            .on_conflict_do_update(index_elements=["name"], set_=changing)
        )
    return mysql.insert(_MODELS).values(values).on_duplicate_key_update(changing)
