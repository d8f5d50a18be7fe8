"""A text as a row of words in which numbers, dates, units and quotations are told from ordinary words.

A word's first character says what it is: `#` a number, `@` a date or a time, `~` a unit, `"` a quotation or
code, `^` a word that its capital makes another one, `,` a comma. All others are words in small letters.
"""

import re
import unicodedata

from llm.semantic import lexicon

_MONTH = "|".join(f"{name[:3]}(?:{name[3:]})?" if name != "may" else name for name in lexicon.MONTHS)
_MONTH = _MONTH.replace("sep(?:tember)?", "sept?(?:ember)?")
_DAY_MONTH = re.compile(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?({_MONTH})\b\.?(?:,?\s+(\d{{4}})\b)?", re.IGNORECASE
)
_MONTH_DAY = re.compile(
    rf"\b({_MONTH})\.?\s+(?:the\s+)?(\d{{1,2}})(?:st|nd|rd|th)?\b(?!:)(?:,?\s+(\d{{4}})\b)?", re.IGNORECASE
)
_ISO_DAY = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_CLOCK = re.compile(r"\b(\d{1,2})(?::(\d{2}))?\s?([ap])\.?m\b\.?|\b(\d{1,2}):(\d{2})\b(?!:)", re.IGNORECASE)
_DEGREES = re.compile(r"(?:°\s?|(?<=\d)\s?degrees?\s)(c|f)(?:elsius|ahrenheit)?\b", re.IGNORECASE)
_QUOTES = {
    **dict.fromkeys((0x2018, 0x2019, 0x201A, 0x201B, 0x2032, 0xB4), "'"),
    **dict.fromkeys((0x201C, 0x201D, 0x201E, 0x201F, 0xAB, 0xBB), '"'),
    **dict.fromkeys((0x2010, 0x2011, 0x2013, 0x2014, 0x2212), "-"),
}
_QUOTED = re.compile(r"```.*?```|`[^`\n]+`|\"[^\"\n]+\"|(?<![\w'])'[^'\n]+'(?!\w)", re.DOTALL)
_ADDRESS = re.compile(
    r"\b[a-z][a-z0-9+.-]*://\S+[\w/]|\bwww\.\S+\w|[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE
)
_WORD = re.compile(
    r"""(?P<held>\x00\d+\x00)
      | (?P<money>[$€£¥₹]\s?(?=\d))
      | (?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:[.,/:-]\d+)*)(?P<ending>st|nd|rd|th)?(?![^\W\d_])
      | (?P<measured>\d+(?:[.,]\d+)*)(?=[^\W\d_]+\b(?![\w-]))
      | (?P<flag>(?<!\S)--?[A-Za-z][\w-]*)
      | (?P<word>[^\W_](?:[\w]|[.'&+#@/:-](?=\w)|(?<=\w)[+#]+)*)
      | (?P<underscored>_+\w*)
      | (?P<comma>,)
      | (?P<sign>[^\s\w.?!;:()'"\[\]-]|-(?=\d)(?<!\w-)|(?<=\d\s)-(?=\s\d))
    """,
    re.VERBOSE,
)
_SHORT = {
    "can't": "can not",
    "cannot": "can not",
    "won't": "will not",
    "shan't": "shall not",
    "let's": "let us",
    "y'all": "you",
    "wanna": "want to",
    "gonna": "going to",
    "gotta": "have to",
    "ain't": "not",
    "dont": "do not",
    "doesnt": "does not",
    "isnt": "is not",
    "cant": "can not",
    "whats": "what is",
    "im": "i am",
}
_IS = lexicon.bag("what who where when how why that it there here he she which")
_ENDINGS = {"re": "are", "ll": "will", "ve": "have", "m": "am", "d": "would"}
_LONGEST_UNIT = 3
_USUAL_UNITS = frozenset({"KM", "Km", "KG", "Kg", "KB", "MB", "GB", "TB"})


def sentences(text: str) -> list[list[str]]:
    """Return the words of each sentence; a question ends with `?`."""
    text = unicodedata.normalize("NFC", text).translate(_QUOTES)
    held: list[str] = []

    def hold(mark: str) -> str:
        held.append(mark)
        return f" \x00{len(held) - 1}\x00 "

    text = _QUOTED.sub(lambda found: hold('"' + found[0].strip("`'\"\n ")), text)
    text = _ADDRESS.sub(lambda found: hold('"' + found[0]), text)
    text = _DAY_MONTH.sub(lambda found: hold(_day(found[3], found[2], found[1])), text)
    text = _MONTH_DAY.sub(lambda found: hold(_day(found[3], found[1], found[2])), text)
    text = _ISO_DAY.sub(lambda found: hold(f"@{found[1]}-{found[2]}-{found[3]}"), text)
    text = _CLOCK.sub(lambda found: hold(_clock(found)), text)
    text = _DEGREES.sub(lambda found: f" {'celsius' if found[1] in 'cC' else 'fahrenheit'} ", text)
    shouted = text.upper() == text
    parts = re.split(r"(?<=[?!;])\s*|(?<=\.)\s+|\n+", text)
    return [words for part in parts if (words := _words(part, held, shouted=shouted))]


def _words(sentence: str, held: list[str], *, shouted: bool) -> list[str]:
    words: list[str] = []
    for found in _WORD.finditer(sentence):
        kind, said = found.lastgroup or "", found[0]
        if kind == "ending":
            kind = "number"
        match kind:
            case "held":
                words.append(held[int(said.strip("\x00"))])
            case "money":
                words.append(f"~{lexicon.UNITS[said.strip()]}")
            case "number" | "measured":
                words.append(f"#{_plain_number(found['number'] or said)}{'th' if found['ending'] else ''}")
            case "flag":
                words.append(f'"{said}')
            case "comma":
                words.append(",")
            case _:
                words += _word(said, first=not words, before=words[-1] if words else "", shouted=shouted)
    words = _money_behind(_counted(words))
    return [*words, "?"] if words and sentence.rstrip().endswith("?") else words


def _word(said: str, *, first: bool, before: str, shouted: bool) -> list[str]:
    small = said.casefold()
    if before.startswith("#") and (unit := _unit(said)) is not None:
        return [unit]
    if small in _SHORT:
        return _SHORT[small].split()
    if (parts := _apart(small)) is not None:
        return parts
    capital = said != small and (not first or said.isupper()) and len(said) > 1
    if capital and small in lexicon.CAPITALISED and not shouted:
        return [f"^{small}"]
    return [lexicon.UNITS[small] if small in {"%", "°"} else small]


def _unit(said: str) -> str | None:
    """Return the unit behind a number. MB is not Mb, and m is not M: a short one keeps its letters."""
    small = said.casefold()
    if len(said) <= _LONGEST_UNIT and said != small and said not in _USUAL_UNITS:
        return f"~{said}"
    return f"~{lexicon.UNITS[small]}" if small in lexicon.UNITS else None


def _apart(small: str) -> list[str] | None:
    """Return the words that an apostrophe joins: what's, don't, France's."""
    if small.endswith("n't"):
        return [small[:-3], "not"]
    base, mark, ending = small.rpartition("'")
    if mark and ending in _ENDINGS:
        return [base, _ENDINGS[ending]]
    if mark and ending == "s":
        return [base, "is" if base in _IS else "'s"]
    return [small[:-1], "'s"] if small.endswith("s'") else None


def _plain_number(said: str) -> str:
    return said.replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", said) else said


def _counted(words: list[str]) -> list[str]:
    """Return the words with numbers that are written out as numbers: twenty-one is 21."""
    told: list[str] = []
    at = 0
    flat = [part for word in words for part in (word.split("-") if _is_number(word.split("-")) else [word])]
    flat = [_ordinal(word) for word in flat]
    while at < len(flat):
        end, total, part = at, 0, 0
        while end < len(flat):
            word = flat[end]
            if word in lexicon.ONES:
                part += lexicon.ONES.index(word)
            elif word in lexicon.TENS:
                part += 10 * (lexicon.TENS.index(word) + 2)
            elif word == "hundred" and (end > at or part):
                part = (part or 1) * 100
            elif word in lexicon.SCALES and word != "hundred" and end > at:
                total, part = total + (part or 1) * lexicon.SCALES[word], 0
            elif not (
                word == "and" and flat[end - 1] in lexicon.SCALES and end > at and _number_follows(flat, end)
            ):
                break
            end += 1
        if end > at:
            told.append(f"#{total + part}")
            at = end
            continue
        told.append(flat[at])
        at += 1
    return told


def _ordinal(word: str) -> str:
    """Return `#21th` for twenty-first, and other words as they are."""
    tens, _, last = word.rpartition("-")
    if last not in lexicon.ORDINALS or (tens and tens not in lexicon.TENS):
        return word
    more = 10 * (lexicon.TENS.index(tens) + 2) if tens else 0
    return f"#{more + lexicon.ORDINALS.index(last) + 1}th"


def _is_number(parts: list[str]) -> bool:
    return len(parts) > 1 and all(part in lexicon.ONES or part in lexicon.TENS for part in parts)


def _number_follows(words: list[str], at: int) -> bool:
    return at + 1 < len(words) and (words[at + 1] in lexicon.ONES or words[at + 1] in lexicon.TENS)


def _money_behind(words: list[str]) -> list[str]:
    """Return the words with a currency behind its number: `$5` is `5 dollars`."""
    for at in range(len(words) - 1):
        if words[at].startswith("~") and words[at + 1].startswith("#"):
            words[at], words[at + 1] = words[at + 1], words[at]
    return [
        f"~{lexicon.UNITS[word]}" if before.startswith("#") and word in lexicon.UNITS else word
        for before, word in zip(["", *words], words, strict=False)
    ]


def _day(year: str | None, month: str, day: str) -> str:
    number = next(at for at, name in enumerate(lexicon.MONTHS, 1) if name.startswith(month[:3].casefold()))
    return f"@{f'{year}-' if year else ''}{number:02}-{int(day):02}"


def _clock(found: re.Match[str]) -> str:
    if found[3]:
        hour = int(found[1]) % 12 + (12 if found[3] in "pP" else 0)
        return f"@{hour:02}:{found[2] or '00'}"
    return f"@{int(found[4]):02}:{found[5]}"
