"""What looks like a provider's key is taken out of foreign texts, also when it is none of ours."""

import re

from runtime.masking import masked

_MASK = "[key]"
# What providers' keys look like: a message may quote one that this process never read.
_LIKE_A_KEY = re.compile(
    r"\b(?:sk|pk|gsk|xai)-[A-Za-z0-9_*.-]{6,}|(?i:bearer)\s+\S{6,}|\bAIza[A-Za-z0-9_-]{20,}"
)


def without_keys(text: str) -> str:
    """Return the text with every known secret, and everything that looks like a key, masked."""
    return _LIKE_A_KEY.sub(_MASK, str(masked(text)))
