"""The log files of the stack's processes: appended to by the process itself, kept small by us."""

import json
import os
import shutil
from pathlib import Path
from typing import IO, Any

from runtime.clock import utcnow

TAIL_BYTES = 16 * 1024
SHOWN_ANYWAY = ("level", "event", "timestamp", "process", "logger")


def open_output(path: Path, name: str) -> IO[bytes]:
    """Open a log file for a process to append to, and mark where this start begins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    output = path.open("ab", buffering=0)
    output.write(f"--- {name} starts at {utcnow():%Y-%m-%d %H:%M:%S} UTC ---\n".encode())
    return output


def keep_small(path: Path, max_bytes: int) -> None:
    """Move what a file holds to `<name>.1` once it is too large.

    The writer appends, so cutting the file under it is safe; a line written in between may be lost.
    """
    if path.exists() and path.stat().st_size > max_bytes:
        shutil.copyfile(path, path.with_name(path.name + ".1"))
        os.truncate(path, 0)


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a log file, readable; of the latest start only."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("--- ")]
    since = lines[starts[-1] + 1 :] if starts else lines
    return [readable(line) for line in since[-count:]]


def new_lines(path: Path, position: int) -> tuple[list[str], int]:
    """Return the whole lines of a log file from a byte position on, readable, and the next position."""
    if not path.exists():
        return [], 0
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.seek(0 if size < position else position)
        written, newline, _ = file.read().rpartition(b"\n")
    if not newline:
        return [], start
    lines = [readable(line) for line in written.decode(errors="replace").split("\n")]
    return lines, start + len(written) + 1


def readable(line: str) -> str:
    """Turn a JSON log line into one for people; leave any other line as it is."""
    try:
        event: Any = json.loads(line)
        level, text = event["level"], event["event"]
    except (ValueError, KeyError, TypeError):
        return line
    facts = [f"{key}={value}" for key, value in event.items() if key not in SHOWN_ANYWAY]
    return " ".join([f"{level:7}", str(text), *facts])
