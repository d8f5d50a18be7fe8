"""What this process knows of callers, for a few seconds: most requests ask the database nothing for it."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from contracts.people import ApiKey
from database.people.sessions import Known

MOST = 10_000


@dataclass(frozen=True, slots=True)
class Seen:
    """A person behind a credential that was found good.

    `session_id` or `key` tells which credential it was; `until` is when it stops to be good by itself.
    """

    person: Known
    session_id: UUID | None = None
    key: ApiKey | None = None
    until: datetime | None = None


class KnownCallers:
    """Remembers who was behind a credential, by its hash or its session's id."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: OrderedDict[str, tuple[float, Seen]] = OrderedDict()

    def get(self, name: str) -> Seen | None:
        """Return who it was, while that is fresh."""
        found = self._seen.get(name)
        if found is None or found[0] <= time.monotonic():
            return None
        return found[1]

    def put(self, name: str, seen: Seen) -> None:
        """Remember somebody."""
        self._seen[name] = (time.monotonic() + self._seconds, seen)
        self._seen.move_to_end(name)
        while len(self._seen) > MOST:
            self._seen.popitem(last=False)

    def forget(self, user_id: UUID) -> None:
        """Forget all that is known of a person: something about them has changed."""
        for name in [name for name, (_, seen) in self._seen.items() if seen.person.user_id == user_id]:
            del self._seen[name]

    def clear(self) -> None:
        """Forget everybody."""
        self._seen.clear()
