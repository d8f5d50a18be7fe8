"""Routing that holds instead of the file's: set by people, experiments and ratings, heard by all workers."""

from collections.abc import Sequence

import sqlalchemy as sa

from contracts.routing import NewOverride, Override, RoleName, Source
from database.engine import ReadSession, WriteSession
from database.people.audit import Doer, record
from database.statements import changed_rows, put
from database.tables import ModelRow, RoutingOverrideRow, core
from runtime.clock import utcnow
from runtime.errors import BadInput, NotFound

_OVERRIDES = core(RoutingOverrideRow)
_MODELS = core(ModelRow)
_COLUMNS = [_OVERRIDES.c[name] for name in Override.model_fields if name != "problem"]


async def set_override(
    session: WriteSession,
    role: RoleName,
    new: NewOverride,
    *,
    by: Doer,
    source: Source = "person",
    about: str | None = None,
) -> Override:
    """Let others answer a role than the file says, in place of an earlier override of the role.

    Raises:
        BadInput: `unknown_deployment`, one of them is not enabled in the file.
    """
    await refuse_unknown(session, new.names())
    values = {
        "ask": new.ask,
        "weights": new.weights,
        "source": source,
        "about": about,
        "set_by": by.actor,
        "reason": new.reason,
        "set_at": utcnow(),
    }
    await put(session, _OVERRIDES, {"role": role}, values)
    told = new.model_dump(exclude_defaults=True)
    await record(session, by, "routing.overridden", f"role:{role}", source=source, about=about, **told)
    return Override.model_validate({"role": role, **values})


async def end_override(session: WriteSession, role: RoleName, *, by: Doer, why: str = "") -> None:
    """Let the file say again who answers a role.

    Raises:
        NotFound: `override_not_found`.
    """
    if not await changed_rows(session, sa.delete(_OVERRIDES).where(_OVERRIDES.c.role == role)):
        raise NotFound(f"The routing of {role} is the file's.", "override_not_found")
    await record(session, by, "routing.restored", f"role:{role}", **({"why": why} if why else {}))


async def list_overrides(session: ReadSession) -> list[Override]:
    """Return what holds instead of the file's routing, and what of it cannot hold."""
    rows = (await session.execute(sa.select(*_COLUMNS).order_by(_OVERRIDES.c.role))).all()
    configured = await _configured(session) if rows else frozenset[str]()
    found = [Override.model_validate(row, from_attributes=True) for row in rows]
    for one in found:
        if missing := [name for name in one.names() if name not in configured]:
            one.problem = f"{', '.join(missing)}: not enabled in the file any more; the file's routing holds."
    return found


async def refuse_unknown(session: ReadSession, names: Sequence[str]) -> None:
    """Do nothing when all of these are deployments that the file enables.

    Raises:
        BadInput: `unknown_deployment`.
    """
    configured = await _configured(session)
    if missing := [name for name in names if name not in configured]:
        listed = ", ".join(sorted(configured)) or "none"
        raise BadInput(
            f"No enabled deployment of the file is called {missing[0]}; there are: {listed}.",
            "unknown_deployment",
        )


async def set_rated(
    session: WriteSession, role: RoleName, weights: dict[str, int], *, about: str | None, by: Doer
) -> bool:
    """Let ratings weigh a role's deployments, and return whether that is new.

    What a person or an experiment has put in place stays.

    Raises:
        BadInput: `unknown_deployment`.
    """
    found = await override_of(session, role)
    if found is not None and (found.source != "arena" or (found.weights, found.about) == (weights, about)):
        return False
    new = NewOverride(weights=weights, reason="By the arena's ratings.")
    await set_override(session, role, new, by=by, source="arena", about=about)
    return True


async def end_rated(session: WriteSession, role: RoleName, *, by: Doer, why: str) -> bool:
    """Take back what ratings put in place, and return whether there was something to take back."""
    found = await override_of(session, role)
    if found is None or found.source != "arena":
        return False
    await end_override(session, role, by=by, why=why)
    return True


async def override_of(session: ReadSession, role: RoleName) -> Override | None:
    """Return what holds for a role instead of the file's routing; in a transaction of a writer, locked."""
    query = sa.select(*_COLUMNS).where(_OVERRIDES.c.role == role).with_for_update()
    row = (await session.execute(query)).one_or_none()
    return None if row is None else Override.model_validate(row, from_attributes=True)


async def _configured(session: ReadSession) -> frozenset[str]:
    """Return the deployments that stand in the file, enabled."""
    query = sa.select(_MODELS.c.name).where(_MODELS.c.configured, _MODELS.c.kind != "offline")
    return frozenset((await session.execute(query)).scalars())
