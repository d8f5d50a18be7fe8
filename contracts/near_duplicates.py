"""Examples that say almost the same: an answer that was learned by heart proves nothing.

Two texts are near-duplicates when the Jaccard similarity of their three-word shingles (Broder 1997) is at
least 0.8. Every such pair is found: by the prefix filter of Chaudhuri, Ganti and Kaushik (2006), two sets of
that similarity share one of the rarest fifth of their shingles (and one more), so only those are indexed.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from contracts.examples import Example, NearDuplicate, Split

ALIKE = 0.8
_WORDS = 3
_WORD = re.compile(r"\w+")
# Who gives way: what is measured with must be new to what is learned from and chosen by.
_KEEPS = {Split.TRAIN: 0, Split.VALIDATION: 1, Split.TEST: 2}
Shingles = frozenset[tuple[str, ...]]


def near_duplicates(examples: Sequence[Example]) -> list[NearDuplicate]:
    """Return each example that says almost the same as one of a split before its own, with the likest one."""
    by_age = sorted(examples, key=lambda one: (_KEEPS[one.split], str(one.id)))
    sets = [shingles(one.inputs) for one in by_age]
    counts = Counter(each for one in sets for each in one)
    index: dict[tuple[str, ...], list[int]] = defaultdict(list)
    found = []
    for here, (example, own) in enumerate(zip(by_age, sets, strict=True)):
        rarest = sorted(own, key=lambda each: (counts[each], each))
        prefix = rarest[: len(rarest) - math.ceil(ALIKE * len(rarest)) + 1]
        near = {there for each in prefix for there in index[each] if by_age[there].split != example.split}
        likest = max(((jaccard(own, sets[there]), -there) for there in near), default=(0.0, 0))
        if likest[0] >= ALIKE:
            like = by_age[-likest[1]]
            found.append(
                NearDuplicate(
                    example_id=example.id,
                    split=example.split,
                    like=like.id,
                    like_split=like.split,
                    similarity=round(likest[0], 4),
                )
            )
        for each in prefix:
            index[each].append(here)
    return found


def shingles(inputs: Any) -> Shingles:
    """Return the runs of three words in all texts of the inputs; a shorter text is one run."""
    words = [word.lower() for text in _texts(inputs) for word in _WORD.findall(text)]
    if len(words) < _WORDS:
        return frozenset([tuple(words)])
    return frozenset(tuple(words[start : start + _WORDS]) for start in range(len(words) - _WORDS + 1))


def jaccard(left: Shingles, right: Shingles) -> float:
    """Return the share of shingles that two texts have in common, 0 to 1."""
    return len(left & right) / len(left | right)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from _texts(value[key])
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None:
        yield str(value)
