"""What the gate will take, by what such calls took lately."""

from decimal import Decimal

from contracts.evaluation import EvaluationParams
from contracts.gate import GateEstimate, GateParams
from database.engine import ReadSession
from database.gateway.estimates import estimated, usual_call
from database.learning.programs import get_program
from database.learning.recorded import recorded_cases
from database.learning.serving import active_version

LANES = 2
# Both orders, and two pairs of lanes: candidate and active, active and what was recorded.
VERDICTS = 4


async def estimated_gate(
    session: ReadSession, owner: str, params: GateParams, *, measured: bool = False
) -> GateEstimate:
    """Return what a comparison will take at most.

    It is less where recorded runs need no judge.

    Args:
        session: of the database.
        owner: whose program it is.
        params: what is to be compared.
        measured: the test split was measured a moment ago, and is not again.

    Raises:
        NotFound: `unknown_program`.
    """
    program = await get_program(session, owner, params.program)
    active = await active_version(session, owner, params.program)
    cases = (await recorded_cases(session, owner, params.program, params.most_replays)).cases
    test = EvaluationParams(
        program=params.program,
        version=params.version,
        against=active.version if active else params.version,
        metric=params.metric,
        most=params.most,
        at_once=params.at_once,
    )
    found = await estimated(session, owner, test)
    predictors = len(program.signature)
    answers = LANES * sum(predictors if case.whole is None else case.calls for case in cases)
    verdicts = sum(case.expected is None for case in cases) * VERDICTS
    usd, seconds = (Decimal(0), 0.0) if measured else (found.usd, found.seconds)
    for calls, role in ((answers, program.role), (verdicts, "judge")):
        if not calls:
            continue
        price, time = await usual_call(session, owner, role)
        usd = None if price is None or usd is None else usd + calls * price
        seconds = None if time is None or seconds is None else seconds + calls * time / params.at_once
    return GateEstimate(
        examples=found.examples,
        replays=len(cases),
        calls=(0 if measured else found.calls) + answers + verdicts,
        usd=usd,
        seconds=None if seconds is None else round(seconds, 1),
    )
