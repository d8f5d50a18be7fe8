"""Where a chat, a user or a run stands among all, so that it always meets the same side."""

import hashlib
from uuid import UUID

# A promotion, a canary and an experiment are noticed within this time, without a restart.
FRESH_SECONDS = 2.0


def canary_place(canary: UUID, subject: str) -> float:
    """Return where a subject stands among all, 0 to 100: the same for one canary, another for the next."""
    digest = hashlib.sha256(f"{canary}:{subject}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 * 100
