"""What may happen to an owner's programs by itself."""

import sqlalchemy as sa

from contracts.program_policies import ProgramPolicy
from database.engine import ReadSession, WriteSession
from database.learning.programs import get_program
from database.people.audit import Doer, record
from database.statements import put
from database.tables import PolicyRow, core
from runtime.clock import utcnow

_POLICIES = core(PolicyRow)


async def get_policy(session: ReadSession, owner: str, program: str) -> ProgramPolicy:
    """Return the rules for a program; the usual ones where nobody has set any.

    Raises:
        NotFound: `unknown_program`.
    """
    await get_program(session, owner, program)
    mine = (_POLICIES.c.owner == owner, _POLICIES.c.program == program)
    found = (await session.execute(sa.select(_POLICIES.c.policy).where(*mine))).scalar_one_or_none()
    return ProgramPolicy() if found is None else ProgramPolicy.model_validate(found)


async def set_policy(session: WriteSession, by: Doer, program: str, policy: ProgramPolicy) -> ProgramPolicy:
    """Set the rules for a program in the doer's space, with a line in the audit log.

    Raises:
        NotFound: `unknown_program`.
    """
    before = await get_policy(session, by.owner, program)
    key = {"owner": by.owner, "program": program}
    told = policy.model_dump(mode="json")
    await put(session, _POLICIES, key, {"policy": told, "set_by": by.actor, "updated_at": utcnow()})
    await record(
        session,
        by,
        "program.policy_set",
        f"program:{program}",
        before=before.model_dump(mode="json"),
        after=told,
    )
    return policy
