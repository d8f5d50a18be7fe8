"""How alike short texts are: words and pieces of words, the rare ones counting more."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import log, sqrt

from llm.offline.words import STOP_WORDS, WORD, plain, stem

Vector = dict[str, float]

READ_CHARS = 20_000  # of one text; what a message is about is said by then
_KEPT_CHARS = 400  # of a text whose features are remembered: 2,048 of them stay under 30 MB
# Weights against a whole word. Pieces of words survive typos and unknown endings; small words carry the tone
# ("I just", "you keep"). On the 120 messages of the tests each of the two is worth 2 to 5 points.
_PIECE, _PIECE_WEIGHT = 4, 0.3
_SMALL_WEIGHT = 0.2


def vectors(texts: Sequence[str]) -> list[Vector]:
    """Return one unit vector per text, weighted by how rare each feature is among these texts (TF-IDF)."""
    counted = [features(text[:READ_CHARS]) for text in texts]
    seen_in = Counter(feature for one in counted for feature in one)
    rarity = {feature: 1 + log((1 + len(texts)) / (1 + n)) for feature, n in seen_in.items()}
    return [_unit({feature: weight * rarity[feature] for feature, weight in one.items()}) for one in counted]


def cosine(left: Vector, right: Vector) -> float:
    """Return how alike two unit vectors are: 0 nothing in common, 1 the same."""
    if len(right) < len(left):
        left, right = right, left
    return sum(weight * right[feature] for feature, weight in left.items() if feature in right)


def features(text: str) -> Vector:
    """Weigh the stems of a text, its small words (`.the`) and the pieces of its stems (`~ship`)."""
    return _kept(text) if len(text) <= _KEPT_CHARS else _weighed(text)


@lru_cache(maxsize=2_048)
def _kept(text: str) -> Vector:
    """Remember short texts: an optimizer shows the same demos in prompt after prompt."""
    return _weighed(text)


def _weighed(text: str) -> Vector:
    found: Counter[str] = Counter()
    weights: Vector = {}
    for word in WORD.findall(plain(text)):
        if word in STOP_WORDS:
            found[f".{word}"] += 1
            continue
        root = stem(word)
        found[root] += 1
        edged = f"<{root}>"
        found.update(f"~{edged[i : i + _PIECE]}" for i in range(max(1, len(edged) - _PIECE + 1)))
    for feature, times in found.items():
        kind = {".": _SMALL_WEIGHT, "~": _PIECE_WEIGHT}.get(feature[0], 1.0)
        weights[feature] = (1 + log(times)) * kind
    return weights


def _unit(vector: Vector) -> Vector:
    length = sqrt(sum(weight * weight for weight in vector.values()))
    return {feature: weight / length for feature, weight in vector.items()} if length else {}
