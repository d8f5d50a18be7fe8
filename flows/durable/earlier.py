"""What earlier attempts of a run have asked for, and which of it a call of this attempt is.

A step that runs several times at once without a key of its own is numbered as it starts, and the next attempt
may start its uses in another order. So a call that is not recorded under its own step's number takes the same
call of another use of that step, as long as nobody else has taken it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from contracts.calls import CallRequest
from database.journal.replays import Place, step_name


class Earlier:
    """The recorded calls of a run, each given out once in this attempt.

    Args:
        places: step, number and fingerprint of each, in the order in which they were first asked for.
    """

    def __init__(self, places: Iterable[Place] = ()) -> None:
        self._known = set(places)
        self._free: dict[tuple[str, str], dict[Place, None]] = defaultdict(dict)
        for place in places:
            self._free[_kind(place)][place] = None
        self._given: dict[Place, Place] = {}

    def placed(self, call: CallRequest) -> CallRequest:
        """Return the call under the step and number where its row is, or is to be."""
        if not self._known:
            return call
        asked = (call.step, call.n, call.fingerprint)
        # A step that is tried again asks for the same calls again.
        if asked not in self._given:
            self._given[asked] = self._taken(asked)
        step, n, _ = self._given[asked]
        return replace(call, step=step, n=n)

    def _taken(self, asked: Place) -> Place:
        free = self._free[_kind(asked)]
        place = asked if asked in free else next(iter(free), None)
        if place is not None:
            del free[place]
            return place
        step, n, fingerprint = asked
        while (step, n, fingerprint) in self._known:
            n += 1
        self._known.add((step, n, fingerprint))
        return step, n, fingerprint


def _kind(place: Place) -> tuple[str, str]:
    return step_name(place[0]), place[2]
