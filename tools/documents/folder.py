"""Files of a folder, and nothing outside of it."""

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath, PureWindowsPath

from runtime.errors import BadInput, NotFound
from tools.documents.document import Document
from tools.documents.limits import LIMITS, Limits
from tools.documents.reading import read_document

_MAX_STARS = 2  # each `**` walks the whole tree below it
_MAX_STEPS = 32


def find_files(root: Path, pattern: str, limit: int) -> list[Path]:
    """Return the files below `root` that match a pattern such as `docs/**/*.md`, sorted by path.

    Hidden files and folders are left out: that is where keys and histories live.

    Args:
        root: the only folder that is looked into.
        pattern: relative, with `/` between folders; `*`, `?`, `[...]` and `**` as in a shell.
        limit: the most files to return.

    Raises:
        BadInput: `bad_pattern`, `path_outside_root` (absolute, with `..`, or by a link that leaves it) or
            `too_many_files`.
    """
    steps = _checked_steps(pattern)
    base = root.resolve()
    # Two `**` meet the same file on several ways.
    found: set[Path] = set()
    for path in _matching(base, steps):
        if not path.is_file():
            continue
        _inside(base, path)
        found.add(path)
        if len(found) > limit:
            raise BadInput(
                f"More than {limit} files match {pattern!r}: use a narrower pattern.",
                code="too_many_files",
                detail={"pattern": pattern, "limit": limit},
            )
    return sorted(found)


def read_file(root: Path, path: Path, limits: Limits = LIMITS) -> Document:
    """Return the document in a file below `root`; its name is its path from there.

    Blocks on the disk and takes CPU time: call it in a thread.

    Raises:
        BadInput: `path_outside_root`, or as `read_document` does.
        NotFound: `file_not_found`.
    """
    base = root.resolve()
    real = _inside(base, base / path)
    name = PurePosixPath((base / path).relative_to(base)).as_posix()
    try:
        with real.open("rb") as file:
            content = file.read(limits.content_bytes + 1)
    except OSError as problem:
        raise NotFound(
            f"{name} cannot be opened ({problem.strerror}).", code="file_not_found", detail={"document": name}
        ) from None
    return read_document(name, content, limits=limits)


def _matching(folder: Path, steps: list[str]) -> Iterator[Path]:
    """Yield what matches, as `Path.glob` does, which walks through all of `.git` and `.venv` first."""
    step, *rest = steps
    try:
        with os.scandir(folder) as entries:
            seen = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError:
        return
    if step == "**":
        if rest:
            yield from _matching(folder, rest)
        for entry in seen:
            # Links are not followed: one that leads up would be walked for ever.
            if entry.is_dir(follow_symlinks=False):
                yield from _matching(folder / entry.name, steps)
        return
    for entry in seen:
        if fnmatchcase(entry.name, step):
            if not rest:
                yield folder / entry.name
            elif entry.is_dir():
                yield from _matching(folder / entry.name, rest)


def _checked_steps(pattern: str) -> list[str]:
    steps = [step for step in pattern.split("/") if step not in {"", "."}]
    absolute = pattern.startswith(("/", "~")) or "\\" in pattern or PureWindowsPath(pattern).drive
    if absolute or ".." in steps:
        raise _outside(pattern)
    stars = sum("**" in step for step in steps)
    broken = any("**" in step and step != "**" for step in steps)
    if not steps or "\0" in pattern or broken or stars > _MAX_STARS or len(steps) > _MAX_STEPS:
        raise BadInput(
            f"{pattern[:200]!r} is no pattern of files: write one like docs/**/*.md.",
            code="bad_pattern",
            detail={"pattern": pattern[:200]},
        )
    return steps


def _inside(base: Path, path: Path) -> Path:
    """Return the real path, links followed, of a file that is below `base`."""
    real = path.resolve()
    if not real.is_relative_to(base):
        raise _outside(str(path.relative_to(base)) if path.is_relative_to(base) else path.name)
    return real


def _outside(pattern: str) -> BadInput:
    return BadInput(
        f"{pattern[:200]!r} leads out of the documents folder: name files below it.",
        code="path_outside_root",
        detail={"pattern": pattern[:200]},
    )
