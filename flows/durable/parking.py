"""How a run leaves its worker in order to wait."""

from prefect.exceptions import Pause

from contracts.runs import Waiting
from database.queue.parking import Condition


class Parked(Pause):
    """The run waits: everything above lets go, and the worker parks it.

    A `BaseException`, because DSPy, Prefect's tasks and careful code catch ordinary errors: this one passes
    through threads, task groups and steps up to the worker. A `Pause`, because that is what Prefect's flow
    engine lets out without calling the run crashed. Raise it by `Run.waiting_for`.
    """

    def __init__(self, waiting: Waiting, until: Condition | None = None) -> None:
        super().__init__(waiting.reason)
        self.waiting = waiting
        self.until = until
