"""The database's own errors."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from runtime.errors import Conflict


class Fenced(Conflict):
    """The run belongs to another attempt by now; nothing of this one is written any more.

    Whoever meets it stops working on the run: somebody else has it, or it has ended.
    """

    code = "fenced"


class BudgetsChanged(Conflict):
    """A run's calls count under other budgets than was thought: somebody has set one, or taken one away.

    Args:
        budgets: those that count them now.
    """

    code = "budgets_changed"

    def __init__(self, budgets: Sequence[UUID]) -> None:
        super().__init__("other budgets apply")
        self.budgets = tuple(budgets)


class OverBudget(Conflict):
    """A call may cost more than one of its budgets has left; nothing of it was written.

    Args:
        budgets: all that count it.
        usd: the most that it can cost.
    """

    code = "over_budget"

    def __init__(self, budgets: Sequence[UUID], usd: Decimal) -> None:
        super().__init__(f"a call may cost {usd} US dollars, more than a budget has left")
        self.budgets = tuple(budgets)
        self.usd = usd
