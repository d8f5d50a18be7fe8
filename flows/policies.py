"""How each kind of step retries and times out: data with names, so that a flow reads without numbers.

Retries live here and nowhere else: DSPy's and LiteLLM's own are off, and no flow has `retries=`
(a flow-level retry whose process died is never picked up again by Prefect).
"""

from dataclasses import dataclass
from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from runtime.errors import MillraceError


@dataclass(frozen=True, slots=True)
class Policy:
    """What one kind of step gets.

    Args:
        retries: tries after the first.
        backoff_seconds: the first wait; each further one is twice the last, plus up to its size as jitter.
        timeout_seconds: for one try; none waits as long as it takes.
    """

    retries: int
    backoff_seconds: float = 1.0
    timeout_seconds: float | None = None

    def task_options(self) -> dict[str, Any]:
        """Return the policy as arguments of Prefect's `task`.

        Results are neither cached nor persisted by Prefect: equal inputs would collapse to one result,
        and a repeated step is answered by the ledger.
        """
        return {
            "retries": self.retries,
            "retry_delay_seconds": exponential_backoff(self.backoff_seconds) if self.retries else None,
            "retry_jitter_factor": 1.0 if self.retries else None,
            "retry_condition_fn": can_heal,
            "timeout_seconds": self.timeout_seconds,
            "cache_policy": NO_CACHE,
            "persist_result": False,
        }


def can_heal(_task: Any, _task_run: Any, state: Any) -> bool:
    """Return whether trying the step again may help: only what its error says can heal is retried."""
    error = state.data
    # A step's own timeout is raised by Prefect, outside of our code.
    return error.retryable if isinstance(error, MillraceError) else isinstance(error, TimeoutError)


# Waits of about 1, 2, 4, 8 and 16 s, up to twice as long: a provider may be away for half a minute.
MODEL_CALL = Policy(retries=5, backoff_seconds=1.0, timeout_seconds=600)
STORE = Policy(retries=4, backoff_seconds=0.25, timeout_seconds=60)
READ_DOCUMENTS = Policy(retries=2, backoff_seconds=0.5, timeout_seconds=900)
# An optimizer runs for hours if it must; its own caps end it, and a further try is answered by the ledger.
OPTIMIZER = Policy(retries=5, backoff_seconds=1.0)
