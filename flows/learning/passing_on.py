"""A candidate goes on to the gate."""

from decimal import Decimal
from uuid import UUID

from contracts.gate import GateParams, Lineage
from contracts.pipelines import GATE
from contracts.programs import Version, VersionStatus
from flows.durable.children import start_child
from flows.durable.run import current_run
from runtime.ids import derived_id


async def pass_on(
    version: Version, metric: str, lineage: Lineage, *, at_once: int, cap_usd: Decimal | None
) -> dict[str, UUID]:
    """Start the gate for a candidate, in a run that this one does not wait for: people take their time.

    Args:
        version: the candidate. The same content is one version: an earlier run may have found it, and it
            answers already.
        metric: as of an evaluation.
        lineage: how it was made.
        at_once: examples that are answered at the same time.
        cap_usd: of the gate's own calls.

    Returns:
        `gate_run_id` and `recommendation_id`; nothing for a version that answers already, if only a share.
    """
    if version.status in {VersionStatus.ACTIVE, VersionStatus.CANARY}:
        return {}
    asked = GateParams(
        program=version.program,
        version=version.version,
        metric=metric,
        at_once=at_once,
        cap_usd=cap_usd,
        lineage=lineage,
        origin_run_id=current_run().id,
    )
    gate_run_id = await start_child(GATE, asked, key=f"gate {version.program}")
    return {"gate_run_id": gate_run_id, "recommendation_id": derived_id(gate_run_id, "recommendation")}
