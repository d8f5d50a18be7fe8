"""Words as the offline model sees them: lower case, without endings, without the ones that say little."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

# Chinese and Japanese are written without spaces: there, every character counts as a word.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff"
WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+(?:'[^\W_{_UNSPACED}]+)*")
_ENDINGS = ("ing", "edly", "ed", "es", "ly", "s", "e")
_SHORTEST_STEM = 3
_KEPT_DOUBLE = "lsz"


def bag(text: str) -> frozenset[str]:
    """Return the words of a text that is written in this code as a list of words."""
    return frozenset(text.split())


STOP_WORDS = bag(
    "a about after again all also am an and any are as at be because been before being both but by"
    " can could did do does doing done each either else ever every few for from further get gets give"
    " given gives go got had has have having he her here hers him his how i if in into is isn't it"
    " it's its itself just know let like made make makes many may me might mine more most much must my"
    " need no nor not now of off on once one only or other our ours out over own per please really"
    " same said say says she should so some such take taken tell told than that that's the their"
    " theirs them then there these they they're thing things this those through to too under until up"
    " us use used very was we well were what what's when where whether which while who whom whose why"
    " will with within without won't would yes yet you your yours i'm i've i'd i'll you're you've"
    " we're don't doesn't didn't can't cannot couldn't wasn't aren't won weren't hasn't haven't"
)


def plain(text: str) -> str:
    """Return a text in one normal form of Unicode, lower case, with straight apostrophes."""
    return unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")


def stems(text: str) -> list[str]:
    """Return the stems of all words of a text that carry meaning, in their order."""
    return [stem(word) for word in WORD.findall(plain(text)) if word not in STOP_WORDS]


def word_count(text: str) -> int:
    """Return how many words a text has, the small ones too."""
    return len(WORD.findall(text))


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Return a lower-case word without its commonest English ending (`refunded` and `refunds` meet).

    Deliberately light: it only has to bring forms of one word together, not to find its root.
    """
    word = word.removesuffix("'s")
    if not word.isascii() or len(word) <= _SHORTEST_STEM:
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith("ss"):
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            return _undoubled(word[: -len(ending)]) if ending in {"ing", "ed"} else word[: -len(ending)]
    return word


def spoken(name: str) -> str:
    """Return a field's name as words: `next_toolName` becomes `next tool name`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").strip().lower()


def listed(items: Iterable[str]) -> str:
    """Return items as people list them: `a, b and c`."""
    parts = list(items)
    if len(parts) < 2:  # noqa: PLR2004  one item needs no comma
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _undoubled(word: str) -> str:
    """Return `ship` for `shipp`, and `charg` for `charge`, as the other forms of the word end."""
    if word[-1] == word[-2] and word[-1] not in _KEPT_DOUBLE:
        return word[:-1]
    return word.removesuffix("e") if len(word) > _SHORTEST_STEM else word
