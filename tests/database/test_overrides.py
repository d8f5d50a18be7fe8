"""Routing that holds instead of the file's, in the database."""

import pytest
from pydantic import ValidationError

from contracts.routing import NewOverride
from database.engine import Database
from database.gateway.models import register_models
from database.gateway.overrides import end_override, list_overrides, set_override
from database.people.audit import Doer, list_entries
from runtime.errors import BadInput, NotFound
from tests.database.test_models import entry

ADA = Doer("user:ada", "user:ada")


async def test_an_override_is_set_replaced_and_taken_back_with_a_line_in_the_audit_log(database: Database):
    await database.write(register_models, [entry(), entry("claude")])
    await database.write(set_override, "chat", NewOverride(ask=["claude"], reason="cheaper"), by=ADA)
    changed = NewOverride(weights={"gpt": 1, "claude": 3})
    await database.write(set_override, "chat", changed, by=ADA, source="arena", about="general")

    async with database.read() as session:
        (one,) = await list_overrides(session)
    assert (one.role, one.ask, one.weights, one.source) == ("chat", [], {"gpt": 1, "claude": 3}, "arena")
    assert one.problem is None
    await database.write(end_override, "chat", by=ADA)

    async with database.read() as session:
        assert await list_overrides(session) == []
        lines = (await list_entries(session, target="role:chat")).items
    assert [line.action for line in lines] == ["routing.restored", *["routing.overridden"] * 2]
    with pytest.raises(NotFound, match="the file's"):
        await database.write(end_override, "chat", by=ADA)


async def test_only_deployments_of_the_file_can_be_named(database: Database):
    await database.write(register_models, [entry()])

    with pytest.raises(BadInput, match="called claude; there are: gpt") as caught:
        await database.write(set_override, "chat", NewOverride(ask=["claude"]), by=ADA)

    assert caught.value.code == "unknown_deployment"


async def test_an_override_of_a_deployment_that_is_gone_says_so(database: Database):
    await database.write(register_models, [entry(), entry("claude")])
    await database.write(set_override, "chat", NewOverride(ask=["claude"]), by=ADA)
    await database.write(register_models, [entry()])

    async with database.read() as session:
        (one,) = await list_overrides(session)

    assert one.problem == "claude: not enabled in the file any more; the file's routing holds."


@pytest.mark.parametrize("told", [{}, {"ask": ["a"], "weights": {"b": 1}}, {"weights": {"b": 0}}])
def test_an_override_says_one_thing(told: dict[str, object]):
    with pytest.raises(ValidationError):
        NewOverride.model_validate(told)
