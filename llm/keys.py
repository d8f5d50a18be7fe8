"""Keys by name: read where they are used, kept nowhere, and taken out of every text that leaves."""

import os
import re
from collections.abc import Iterable

from dotenv import dotenv_values

_MASK = "[key]"
# What providers' keys look like, for keys that are not ours (a message may quote another one).
_LIKE_A_KEY = re.compile(
    r"\b(?:sk|pk|gsk|xai)-[A-Za-z0-9_*.-]{6,}|(?i:bearer)\s+\S{6,}|\bAIza[A-Za-z0-9_-]{20,}"
)


def key(name: str) -> str | None:
    """Return the key in an environment variable, else in `.env` of the working folder; none when unset."""
    return os.environ.get(name) or dotenv_values(".env").get(name) or None


def without_keys(text: str, keys: Iterable[str] = ()) -> str:
    """Return the text with every given key, and everything that looks like one, masked."""
    for one in keys:
        if one:
            text = text.replace(one, _MASK)
    return _LIKE_A_KEY.sub(_MASK, text)
