"""Markdown stays as it is written; its headings become the structure."""

import re

from tools.documents.document import Document, Draft

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_SETEXT = re.compile(r" {0,3}(=+|-{2,})$")


def read_markdown(name: str, text: str) -> Document:
    """Return the document with a mark at each heading outside of code and front matter."""
    draft = Draft()
    fence = ""
    before = ""  # the line above, when it could be the words of an underlined heading
    lines = text.lstrip("\n").split("\n")
    front = _front_matter(lines)
    for number, line in enumerate(lines):
        heading = None if fence or number < front else _ATX.match(line)
        underline = None if fence or number < front or not before else _SETEXT.match(line)
        if number >= front:
            fence = _fence_after(fence, line)
        if heading and heading[2]:
            draft.mark(len(heading[1]), heading[2])
        elif underline:
            start = draft.length - len(before) - 1
            draft.mark(1 if underline[1][0] == "=" else 2, before)
            draft.marks[-1] = draft.marks[-1]._replace(start=start)
        plain = not fence and number >= front and not heading and not underline
        before = line if plain and line.strip() and line[0] not in ">|-*+" else ""
        draft.add(line + "\n")
    return draft.finish(name)


def _front_matter(lines: list[str]) -> int:
    """Return how many lines of metadata between `---` stand before the text."""
    if lines[0] != "---":
        return 0
    try:
        return lines.index("---", 1, 200) + 1
    except ValueError:
        return 0


def _fence_after(fence: str, line: str) -> str:
    """Return the fence of the code block that is open behind `line`, or nothing."""
    found = _FENCE.match(line)
    if not found:
        return fence
    if not fence:
        return found[1]
    closes = found[1][0] == fence[0] and len(found[1]) >= len(fence) and not line[found.end() :].strip()
    return "" if closes else fence
