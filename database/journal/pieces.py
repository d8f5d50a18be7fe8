"""Cuts long texts into pieces that stay the same when the text around them changes.

A chat's prompt is the last one with a message more, and once the chat is long, without the oldest ones. So
the places to cut depend only on the words before them (content-defined chunking, as restic and borg do it).
The hashes of the pieces are grouped into nodes by the same idea, those into further nodes, up to one root: a
tree of which only the branches at the changed places are new (a "prolly tree", as Dolt has it). Joined in
order, the pieces are the text again, to the letter.
"""

import hashlib
import json
import re
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from database.columns import storable

# Ends of messages, lines and sentences; a newline is two characters inside JSON.
_ENDS = re.compile(r'(?P<message>\}\]\}(?:,(?=\{")|(?=\],")))|\\n|[.!?] |[。！？\n]|\},|\]\]')  # noqa: RUF001  the ends of Chinese sentences
# One end in this many is a cut. Sentences have about 80 characters, so a piece has about 600. The end of a
# message always is one: a prompt that forgets its oldest messages begins with a piece that is known.
_ENDS_PER_PIECE = 8
_SHORTEST = 128
# The words before an end by which it is chosen.
_LOOKS_BACK = 32
_PIECES_PER_NODE = 8
_FEWEST_PER_NODE = 2


@dataclass(frozen=True, slots=True)
class Blob:
    """A piece of text, or a node: the hashes of what it stands for, in order, as JSON."""

    hash: str
    is_node: bool
    content: str

    @property
    def parts(self) -> list[str]:
        """The hashes that a node stands for; none in a piece."""
        return list(json.loads(self.content)) if self.is_node else []


def split(text: str) -> tuple[str, dict[str, Blob]]:
    """Return the hash of the root of a text's tree, and all of its blobs by hash."""
    blobs: dict[str, Blob] = {}
    level = [_kept(blobs, piece, is_node=False) for piece in cut(storable(text))]
    while len(level) > 1:
        groups = _grouped(level)
        level = [_kept(blobs, json.dumps(group, separators=(",", ":")), is_node=True) for group in groups]
    return level[0], blobs


def join(root: str, blobs: Mapping[str, Blob]) -> str:
    """Return the text of a tree.

    Raises:
        KeyError: a blob is missing.
    """
    return "".join(_texts(root, blobs))


def cut(text: str) -> list[str]:
    """Return the pieces of a text in order; at least one."""
    pieces, start = [], 0
    for end in _ENDS.finditer(text):
        place = end.end()
        if place - start >= _SHORTEST and (
            end["message"] or _chosen(text[max(0, place - _LOOKS_BACK) : place])
        ):
            pieces.append(text[start:place])
            start = place
    if start < len(text) or not pieces:
        pieces.append(text[start:])
    return pieces


def _grouped(hashes: Sequence[str]) -> Iterator[list[str]]:
    group: list[str] = []
    for each in hashes:
        group.append(each)
        if len(group) >= _FEWEST_PER_NODE and zlib.crc32(each.encode()) % _PIECES_PER_NODE == 0:
            yield group
            group = []
    if group:
        yield group


def _chosen(words: str) -> bool:
    return zlib.crc32(words.encode()) % _ENDS_PER_PIECE == 0


def _kept(blobs: dict[str, Blob], content: str, *, is_node: bool) -> str:
    # A node and a text with the same characters are two things.
    digest = hashlib.sha256((b"node:" if is_node else b"text:") + content.encode()).digest()
    name = urlsafe_b64encode(digest).decode().rstrip("=")
    blobs[name] = Blob(name, is_node, content)
    return name


def _texts(name: str, blobs: Mapping[str, Blob]) -> Iterator[str]:
    blob = blobs[name]
    if not blob.is_node:
        yield blob.content
    for part in blob.parts:
        yield from _texts(part, blobs)
