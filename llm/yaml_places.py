"""Where things stand in a YAML document: lines for paths, and what its parser says nothing about."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to change, and where. It does not repeat the value that stands there: it may be a key."""

    line: int
    what: str
    remedy: str


def line_of(root: yaml.Node | None, where: tuple[Any, ...]) -> int:
    """Return the line, from 1, of the deepest part of a path that exists in the document."""
    lines = [line for _, line in _path(root, where)]
    return lines[-1] if lines else 1


def line_of_word(root: yaml.Node | None, where: tuple[Any, ...], word: str) -> int:
    """Return the line on which a word stands as a name or a value below a path; else that of the path."""
    nodes = [node for node, _ in _path(root, where)]
    found = (one for one in _scalars(nodes[-1] if nodes else root) if one.value == word)
    first = next(found, None)
    return line_of(root, where) if first is None else int(first.start_mark.line) + 1


def _path(root: yaml.Node | None, where: tuple[Any, ...]) -> Iterator[tuple[yaml.Node, int]]:
    """Yield the nodes along a path, each with the line of its name, as far as the document has them."""
    node = root
    for step in where:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = (node.value[step], node.value[step])
        if found is None:
            return
        node = found[1]
        yield node, found[0].start_mark.line + 1


def _scalars(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from (*_scalars(key), *_scalars(value))
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _scalars(value)


def inside_itself(node: yaml.Node | None, around: frozenset[int] = frozenset()) -> int | None:
    """Return the line of a part that contains itself, by an alias of YAML; none in a file that ends."""
    if not isinstance(node, yaml.MappingNode | yaml.SequenceNode):
        return None
    if id(node) in around:
        return int(node.start_mark.line) + 1
    below = (value for pair in node.value for value in (pair if isinstance(pair, tuple) else (pair,)))
    lines = (inside_itself(value, around | {id(node)}) for value in below)
    return next((line for line in lines if line is not None), None)


def repeated(node: yaml.Node | None) -> Iterator[Problem]:
    """Yield keys that stand twice: YAML keeps the last one and says nothing."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for name, value in node.value:
            if name.value in seen:
                what = f"`{name.value}` stands here a second time"
                yield Problem(name.start_mark.line + 1, what, "remove one of the two")
            seen.add(name.value)
            yield from repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from repeated(value)


_LOOKS_LIKE_A_KEY = re.compile(r"\b(?:(?:sk|pk|gsk|xai)-|AKIA|AIza|(?:ghp|hf)_)[A-Za-z0-9_-]{12,}")


def keys_written_down(node: yaml.Node | None) -> Iterator[Problem]:
    """Yield values that look like keys. The value itself is not repeated."""
    if isinstance(node, yaml.ScalarNode) and _LOOKS_LIKE_A_KEY.search(str(node.value)):
        remedy = "keep it as a secret that `key_name:` names, and replace it: it was on disk"
        yield Problem(node.start_mark.line + 1, "a value looks like a key", remedy)
    elif isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from keys_written_down(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from keys_written_down(value)
