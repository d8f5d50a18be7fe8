"""Texts as vectors of unit length, and one way to make them without a model.

The built-in one hashes words and pieces of words into a fixed number of places (Weinberger and others 2009,
"Feature hashing for large scale multitask learning"). It is deterministic, free and in process; it knows
spelling and nothing of meaning: "buy" and "purchase" have nothing in common for it.
"""

import re
import zlib
from collections import Counter
from decimal import Decimal
from math import log
from typing import TYPE_CHECKING

import numpy as np

from llm.backend import Vector
from llm.providers import OFFLINE

if TYPE_CHECKING:
    from collections.abc import Sequence

DIMENSIONS = 512
MODEL = "millrace-offline-words-1"
_STORED = np.dtype("<f4")
BYTES = _STORED.itemsize
_PIECE = 4
# A piece of a word against the whole one, and a small word that many texts share.
_PIECE_WEIGHT, _SMALL_WEIGHT, _SMALL = 0.3, 0.4, 3


def unit(values: "Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]]") -> bytes:
    """Return a vector with length one, as it is stored: little-endian float32.

    Raises:
        ValueError: it has no direction, or holds something else than finite numbers.
    """
    found = np.asarray(values, dtype=np.float64)
    length = float(np.linalg.norm(found))
    if found.ndim != 1 or not np.isfinite(length) or length == 0:
        raise ValueError("the vector has no direction")
    return (found / length).astype(_STORED).tobytes()


def read(data: bytes) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    """Return a stored vector."""
    return np.frombuffer(data, dtype=_STORED).astype(np.float32, copy=False)


class WordHashes:
    """Makes vectors in process, without a key. Its model's name says what it is."""

    def most_for(self, text: str) -> Decimal:
        """Return nothing: it is free."""
        del text
        return Decimal(0)

    async def embed(self, text: str) -> Vector:
        """Return the vector of a text; an empty one has the direction of nothing."""
        from dspy.lm15 import Usage

        return Vector(unit(hashed(text)), OFFLINE, MODEL, Usage(), Decimal(0))


def hashed(text: str) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return the hashed words of a text, not yet of length one."""
    counts: Counter[str] = Counter()
    weights: dict[str, float] = {"": 1e-6}
    words = re.findall(r"\w+|[^\w\s]", text.casefold())
    for word, behind in zip(words, [*words[1:], ""], strict=False):
        counts[word] += 1
        weights[word] = 1.0 if len(word) > _SMALL else _SMALL_WEIGHT
        pair = f"{word} {behind}"
        counts[pair] += 1
        weights[pair] = _SMALL_WEIGHT
        edged = f"<{word}>"
        for at in range(len(edged) - _PIECE + 1):
            piece = f"~{edged[at : at + _PIECE]}"
            counts[piece] += 1
            weights[piece] = _PIECE_WEIGHT
    found = np.zeros(DIMENSIONS)
    for feature, weight in weights.items():
        print_ = zlib.crc32(feature.encode(errors="replace"))
        sign = 1.0 if print_ & 0x80000000 else -1.0
        found[print_ % DIMENSIONS] += sign * weight * (1 + log(counts[feature] or 1))
    return found
