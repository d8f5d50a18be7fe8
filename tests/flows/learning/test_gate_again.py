"""The gate meets what it has met before: measured, refused or rolled back."""

import pytest
import sqlalchemy as sa

from contracts.approvals import Decision
from contracts.gate import GateParams, GateResult
from database.engine import WriteSession
from database.learning.policies import set_policy
from database.learning.serving import rollback
from database.queue.approvals import decide, list_approvals
from database.tables import EvaluationResultRow, core
from flows.durable.run import Run
from tests.fixtures.deciders import decider
from tests.fixtures.gate_stage import ADA, AUTO, NAME, Stage

pytestmark = [
    pytest.mark.timeout(300),
    # Prefect closes the sockets of its event client late, in a thread of its own.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


async def test_a_measurement_of_today_is_not_paid_twice(stage: Stage):
    first = await stage.gated(2)
    second = await stage.gated(2)
    assert isinstance(first, Run)
    assert isinstance(second, Run)
    assert (await stage.calls(first.id) > 20, await stage.calls(second.id)) == (True, 0)


async def test_a_measurement_of_one_version_only_is_none(stage: Stage):
    """As one leaves behind that stopped at its cap in the second version."""
    await stage.gated(2)

    async def forget(session: WriteSession) -> None:
        results = core(EvaluationResultRow)
        await session.execute(sa.delete(results).where(results.c.version_id == stage.poor.id))

    await stage.database.write(forget)
    second = await stage.gated(2)
    assert isinstance(second, Run)
    assert await stage.calls(second.id) > 20


async def test_what_a_person_refused_is_not_asked_again_by_a_run_that_finds_it_again(stage: Stage):
    first = await stage.gated(2)
    assert isinstance(first, Run)
    async with stage.database.read() as session:
        (asked,) = (await list_approvals(session, "local")).items
    no = (Decision.REJECT, asked.digest)
    await stage.database.write(decide, "local", asked.id, *no, by=decider("bob"), comment="not now")
    await stage.gone_on(GateParams(program=NAME, version=2))
    found = await stage.gated(2, origin_run_id=first.id)
    assert isinstance(found, GateResult)
    assert (found.outcome, found.recommendation_id) == ("refused", None)
    assert "was refused in the place of version 1" in found.reason
    assert "not now. Start the gate for it by hand" in found.reason
    assert isinstance(await stage.gated(2), Run)


async def test_what_was_rolled_back_does_not_begin_again_by_itself(stage: Stage):
    await stage.database.write(set_policy, ADA, NAME, AUTO)
    applied = await stage.gated(2)
    assert isinstance(applied, GateResult)
    assert applied.outcome == "applied"
    await stage.database.write(rollback, "local", NAME, by="millrace", reason="More answers failed.")
    found = await stage.gated(2, origin_run_id=stage.poor.id)
    assert isinstance(found, GateResult)
    assert found.outcome == "refused"
    assert "was rolled back to version 1" in found.reason
    assert "More answers failed." in found.reason
