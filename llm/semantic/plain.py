"""The plain form of an English sentence: what is left of it when its wording is taken away."""

from functools import cache

from llm.semantic import lexicon, phrases

_AUXILIARY = lexicon.bag(
    "is are am was were do does did can could should would will may might must has have had shall"
)
_WH = frozenset({"what", "which", "who", "whom", "when", "where", "why", "how", "how-to", "whose"})
_OPENERS = sorted((tuple(each.split()) for each in phrases.OPENERS), key=len, reverse=True)
_CLOSERS = sorted((tuple(each.split()) for each in phrases.CLOSERS), key=len, reverse=True)
_ASKING = sorted((tuple(each.split()) for each in phrases.ASKING), key=len, reverse=True)
_PHRASES = {tuple(said.split()): meant.split() for said, meant in phrases.PHRASES.items()}
_LONGEST_PHRASE = max(map(len, _PHRASES))
_WORDS_OF_A_PLURAL = 2
_VERBS = frozenset(lexicon.VERBS)


def plain(words: list[str]) -> str:
    """Return the plain form of a sentence; empty for one that only says hello."""
    asked, words = words[-1:] == ["?"], [word for word in words if word != "?"]
    said, words = words, _unpolite(words)
    if not words:
        return ""
    if words[0] in phrases.REQUESTS and words != said:
        asked = False  # "Can you write it?" asks as little as "Write it."
    kind = _kind(words, asked=asked)
    words = _phrased(_framed(words))
    words = [lexicon.SAME.get(word, word) for word in _folded(words)]
    words = _owned(words)
    words = [
        word for word, behind in zip(words, [*words[1:], ""], strict=False) if not _says_nothing(word, behind)
    ]
    return f"{kind} {_arranged(words)}"


def _kind(words: list[str], *, asked: bool) -> str:
    """Return whether a sentence asks yes or no, asks for something, or tells."""
    # "In Python, how do I", "in which year", "to whom".
    begins = words.index(",") + 1 if words[0] in lexicon.PREPOSITIONS and "," in words[:-1] else 0
    if words[begins] in _AUXILIARY:
        return "<yes-no>"
    if any(word in _WH for word in words[begins : begins + 3]):
        return "<open>"
    return "<yes-no>" if asked else "<told>"


def _unpolite(words: list[str]) -> list[str]:
    """Return a sentence without what people put around a question to be kind."""
    words = [word for word in words if word not in {"please", "kindly"}]
    while (shorter := _without_closer(_without_opener(words))) != words:
        words = shorter
    return words


def _without_opener(words: list[str]) -> list[str]:
    if words[:1] == [","]:
        return words[1:]
    for opener in _OPENERS:
        rest = words[len(opener) :]
        if tuple(words[: len(opener)]) == opener and _may_go(rest, opener):
            return rest
    asking = next((each for each in _ASKING if tuple(words[: len(each)]) == each), ())
    asks = asking and words[len(asking) : len(asking) + 1]
    return words[len(asking) :] if asks and asks[0] in phrases.REQUESTS else words


def _without_closer(words: list[str]) -> list[str]:
    if words[-1:] == [","]:
        return words[:-1]
    fits = (each for each in _CLOSERS if len(words) > len(each) and tuple(words[-len(each) :]) == each)
    closer = next(fits, ())
    return words[: len(words) - len(closer)]


def _may_go(rest: list[str], opener: tuple[str, ...]) -> bool:
    """Return whether a sentence says the same without its opener: "Tell me a joke" does not."""
    if opener[-1] in {"me", "know", "wonder", "wondering", "curious", "out", "idea", "understand", "remind"}:
        return bool(rest) and (
            rest[0] in _WH or rest[0] in _AUXILIARY or rest[0] in {",", "in", "at", "on", "to"}
        )
    return True


def _framed(words: list[str]) -> list[str]:
    """Return the words with a frame around them said in one way: how much does it cost, what does it mean."""
    for before, behind, meant in phrases.AROUND:
        fits = len(words) > len(before) + len(behind)
        ends = not behind or tuple(words[-len(behind) :]) == behind
        if fits and ends and tuple(words[: len(before)]) == before:
            return [*meant, *words[len(before) : len(words) - len(behind)]]
    return words


def _phrased(words: list[str]) -> list[str]:
    told: list[str] = []
    at = 0
    while at < len(words):
        for size in range(min(_LONGEST_PHRASE, len(words) - at), 0, -1):
            if (meant := _PHRASES.get(tuple(words[at : at + size]))) is not None:
                told += meant
                at += size
                break
        else:
            told.append(words[at])
            at += 1
    return told


def _folded(words: list[str]) -> list[str]:
    """Return the words without the endings of grammar: plurals in general, and -ing of well-known verbs."""
    told, definite = [], 0
    for word in words:
        if word in lexicon.DEFINITE:
            definite = _WORDS_OF_A_PLURAL
        folded = singular(_ing().get(word, word))
        told.append(word if definite and not (definite == 1 and folded in _VERBS) else folded)
        definite = 0 if word == "," or word in lexicon.PREPOSITIONS else max(0, definite - 1)
    return told


def singular(word: str) -> str:
    """Return a word without the -s of a plural or of a verb."""
    if not word.isalpha() or len(word) <= 3 or word in lexicon.NO_PLURAL or not word.endswith("s"):  # noqa: PLR2004
        return word
    if word.endswith("ies") and len(word) > 4:  # noqa: PLR2004
        return f"{word[:-3]}y"
    if word.endswith(("sses", "ches", "shes", "xes")) and not word.endswith("aches"):
        return word[:-2]
    return word if word.endswith(("ss", "us", "is")) else word[:-1]


@cache
def _ing() -> dict[str, str]:
    """Return the -ing forms of the verbs of the lexicon."""
    forms = {}
    for verb in lexicon.VERBS:
        stem = verb[:-1] if verb.endswith("e") and not verb.endswith("ee") else verb
        if len(verb) > 2 and verb[-1] in "bdgmnprt" and verb[-2] in "aeiou" and verb[-3] not in "aeiou":  # noqa: PLR2004
            forms[f"{verb}{verb[-1]}ing"] = verb
        forms[f"{stem}ing"] = verb
        if verb.endswith("el"):
            forms[f"{verb}ling"] = verb
    return forms


def _owned(words: list[str]) -> list[str]:
    """Return the words with "France's capital" as "capital of France"; a longer owner stays as it is."""
    told = list(words)
    for at, word in enumerate(words):
        if word == "'s" and 0 < at < len(words) - 1 and words.count("'s") == 1:
            start = at - 1
            if start > 0 and words[start - 1] == "the":
                start -= 1
            # The thing is owned up to the end, or to the next part of the sentence.
            end = next(
                (
                    here
                    for here in range(at + 1, len(words))
                    if words[here] in lexicon.PREPOSITIONS or words[here] in _AUXILIARY
                ),
                len(words),
            )
            told = [*words[:start], *words[at + 1 : end], "of", words[at - 1], *words[end:]]
    return told


def _says_nothing(word: str, behind: str) -> bool:
    """Return whether a word may go; not the article that makes a river of a company."""
    return word in lexicon.DROPPED and not (word == "the" and behind.startswith("^"))


def _arranged(words: list[str]) -> str:
    """Return the words with the parts that a preposition begins in one order, where the order says nothing.

    "In Python, how do I sort a list" is "how do I sort a list in Python"; but who is taller than whom, and
    what comes before what, stays as it was said.
    """
    asking = sum(word in lexicon.ASKING_WORDS for word in words)
    if asking > 1 or any(word in lexicon.ORDERED for word in words):
        return " ".join(word for word in words if word != ",")
    head: list[str] = []
    parts: list[list[str]] = []
    part: list[str] | None = None
    for at, word in enumerate(words):
        fronted = at == 0 and word in lexicon.PREPOSITIONS and "," in words
        if word == ",":
            part = None
        elif fronted or word in lexicon.MOVING:
            part = [word]
            parts.append(part)
        elif word in lexicon.TIMES:
            part = None
            parts.append([word])
        elif part is not None:
            part.append(word)
        else:
            head.append(word)
    return " ".join(word for each in (head, *sorted(parts)) for word in each)
