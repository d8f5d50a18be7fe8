"""The database's own errors."""

from runtime.errors import Conflict


class Fenced(Conflict):
    """The run belongs to another attempt by now; nothing of this one is written any more.

    Whoever meets it stops working on the run: somebody else has it, or it has ended.
    """

    code = "fenced"
