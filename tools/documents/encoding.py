"""From bytes to clean text: the encoding found, the characters that harm removed."""

import codecs
import re

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Only encodings of text: Python also calls zip, rot13 and punycode encodings.
_KNOWN = re.compile(
    r"ascii|utf-(8|16|32)(-[bl]e)?|iso8859-\d+|cp\d+|koi8-[rtu]|shift_jis|euc_\w+|gbk|gb2312|gb18030|big5"
)
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Control characters; lone surrogates, which no provider can receive; the byte order mark; and the Unicode
# tags, which people do not see and models read: a way to hide instructions in a text.
_HARMFUL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")
_ODD = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ufffd]")
_BLANK_LINES = re.compile("\n{3,}")
_SAMPLE = 8_192


def decoded(content: bytes, declared: str | None = None) -> str:
    """Return the text of `content`: by byte order mark, then as declared, then UTF-8, then Latin-1.

    Args:
        content: the bytes of a text file.
        declared: an encoding that the file or its sender names; ignored when it does not fit.
    """
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    for guess in filter(None, (_usable(declared), _without_mark(content), "utf-8")):
        try:
            return content.decode(guess)
        except UnicodeDecodeError as problem:
            if guess == "utf-8" and problem.start >= max(
                1, len(content) - 3
            ):  # cut inside its last character
                return content.decode(guess, errors="replace")
    try:
        return content.decode("cp1252")  # what files that claim to be Latin-1 really are
    except UnicodeDecodeError:
        return content.decode("latin-1")


def cleaned(text: str) -> str:
    """Return text with plain line ends and at most one blank line, without characters that harm."""
    text = "\n".join(line.rstrip() for line in harmless(text).split("\n"))
    return _BLANK_LINES.sub("\n\n", text)


def harmless(text: str) -> str:
    """Return text with plain line ends, without characters that harm."""
    return _HARMFUL.sub("", _LINE_ENDS.sub("\n", text))


def looks_binary(content: bytes, declared: str | None = None) -> bool:
    """Tell whether bytes are no text in any encoding that we know."""
    sample = decoded(content[:_SAMPLE], declared)
    return len(_ODD.findall(sample)) > 8 + len(sample) // 20


def _usable(declared: str | None) -> str | None:
    if not declared:
        return None
    try:
        name = codecs.lookup(declared.strip("\"' ")).name
    except (LookupError, ValueError):
        return None
    return name if _KNOWN.fullmatch(name) else None


def _without_mark(content: bytes) -> str | None:
    """Return UTF-16 for bytes that look like it: Latin text in it has a NUL in every second byte."""
    sample = content[:_SAMPLE]
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if len(sample) >= 4 and max(even, odd) * 5 > len(sample) and min(even, odd) * 20 < len(sample):  # noqa: PLR2004
        return "utf-16-be" if even > odd else "utf-16-le"
    return None
