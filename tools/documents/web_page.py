"""The words of a web page that a person would see. selectolax is imported on the first page only."""

import re
from typing import TYPE_CHECKING

from runtime.errors import BadInput
from tools.documents.document import Document, Draft
from tools.documents.encoding import harmless

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

# The parser's time grows with the square of both: 100,000 nested tags took 9 s, 100,000 attributes 12 s.
MAX_DEPTH = 5_000
MAX_ATTRIBUTES = 1_000

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]*)([^>]*+)")
_QUOTED = re.compile(r"\"[^\"]*+\"|'[^']*+'")
_HIDING = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)

_UNSEEN = {"head", "iframe", "noscript", "object", "script", "style", "svg", "template"}
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_PARAGRAPHS = {
    "address", "article", "aside", "blockquote", "body", "details", "dl", "fieldset", "figure", "footer",
    "form", "header", "hr", "main", "nav", "ol", "p", "pre", "section", "table", "ul", *_HEADINGS,
}  # fmt: skip
_LINES = {"br", "caption", "dd", "div", "dt", "figcaption", "legend", "li", "option", "summary", "tr"}
_CELLS = {"td", "th"}
# Tags that need no end, so that counting ends would find a flat page deep.
_OPEN_ENDED = {
    "area", "base", "body", "br", "col", "dd", "dt", "embed", "head", "hr", "html", "img", "input", "li",
    "link", "meta", "option", "p", "param", "source", "tbody", "td", "tfoot", "th", "thead", "tr", "track",
    "wbr",
}  # fmt: skip


def read_web_page(name: str, page: str) -> Document:
    """Return the visible text of an HTML page with a mark at each heading.

    Scripts, styles and hidden elements are left out: what no reader sees is no evidence, and a usual place
    for instructions meant for a model.

    Raises:
        BadInput: `unreadable_document` when it is built to keep the parser busy.
    """
    from selectolax.lexbor import LexborHTMLParser

    _refuse_hostile(name, page)
    tree = LexborHTMLParser(page)
    text = _Text()
    title = tree.css_first("title")
    if title is not None and title.text().strip():
        text.draft.mark(0, title.text())
        text.write(title.text(), kept=False)
        text.gap(2)
    if tree.body is not None:
        _walk(tree.body, text)
    return text.draft.finish(name)


def declared_encoding(content: bytes) -> str | None:
    """Return the encoding that a page names for itself in its first kilobytes."""
    found = _META_CHARSET.search(content[:4096])
    return found[1].decode("ascii", errors="replace") if found else None


class _Text:
    """Words as they are laid out: single blanks inside a line, line ends where a block begins or ends."""

    def __init__(self) -> None:
        self.draft = Draft()
        self.wanted = 0  # line ends that are due before the next word
        self.blank = False

    def gap(self, lines: int) -> None:
        if lines:
            self.wanted = max(self.wanted, lines)
            self.blank = False

    def write(self, words: str, *, kept: bool) -> None:
        if kept:
            if words.strip():
                self._begin()
                self.draft.add(words)
            return
        inner = " ".join(words.split())
        if inner:
            self.blank = self.blank or words[0].isspace()
            self._begin()
            self.draft.add(inner)
        self.blank = (self.blank or bool(words)) if not inner else words[-1].isspace()

    def heading(self, level: int, words: str) -> None:
        self._begin()
        self.draft.mark(level, words)

    def _begin(self) -> None:
        if self.draft.length:
            self.draft.add("\n" * self.wanted or " " * self.blank)
        self.wanted, self.blank = 0, False


def _walk(body: "LexborNode", text: _Text) -> None:
    """Write the visible words below `body`; a loop, for pages are nested as deep as they like."""
    node: LexborNode | None = body
    last = body.mem_id  # nodes themselves are compared by their whole markup
    inside_pre = 0
    while node is not None:
        tag = node.tag or ""
        if node.is_text_node:
            text.write(harmless(node.text_content or ""), kept=inside_pre > 0)
        elif node.is_element_node and not _unseen(node, tag):
            _open(node, tag, text)
            if node.child is not None:
                inside_pre += tag == "pre"
                node = node.child
                continue
            _close(tag, text)
        while node is not None and node.mem_id != last and node.next is None:
            node = node.parent
            if node is not None:
                inside_pre -= node.tag == "pre"
                _close(node.tag or "", text)
        node = None if node is None or node.mem_id == last else node.next


def _open(node: "LexborNode", tag: str, text: _Text) -> None:
    text.gap(2 if tag in _PARAGRAPHS else tag in _LINES)
    if tag in _HEADINGS and node.text().strip():
        text.heading(_HEADINGS[tag], harmless(node.text()))
    elif tag == "li":
        text.write("- ", kept=False)
    elif tag in _CELLS and node.prev is not None:
        text.write(" | ", kept=False)
    elif tag == "img" and node.attributes.get("alt"):
        text.write(harmless(node.attributes["alt"] or ""), kept=False)


def _close(tag: str, text: _Text) -> None:
    text.gap(2 if tag in _PARAGRAPHS else tag in _LINES)


def _unseen(node: "LexborNode", tag: str) -> bool:
    if tag in _UNSEEN:
        return True
    attributes = node.attributes
    if not attributes:
        return False
    return "hidden" in attributes or bool(_HIDING.search(attributes.get("style") or ""))


def _refuse_hostile(name: str, page: str) -> None:
    depth = 0
    for closing, tag, rest in _TAG.findall(page):
        if tag.lower() not in _OPEN_ENDED:
            depth = max(0, depth - 1) if closing else depth + 1
        many = len(rest) > MAX_ATTRIBUTES and len(_QUOTED.sub("", rest).split()) > MAX_ATTRIBUTES
        if depth > MAX_DEPTH or many:
            raise BadInput(
                f"{name} nests its tags too deeply or gives one too many attributes to be a page for people.",
                code="unreadable_document",
                detail={"document": name},
            )
