"""The smallest effect on the world: a line more in a file."""

import asyncio
from pathlib import Path

from runtime.home import home


async def append_line(folder: str, line: str, seconds_after: float = 0) -> dict[str, int]:
    """Append a line to `probe.txt` in a folder under the Millrace home, then take a while to say so.

    Returns:
        How many lines it has then.
    """
    lines = await asyncio.to_thread(_append, home() / "probe" / Path(folder).name, line)
    await asyncio.sleep(seconds_after)
    return {"lines": lines}


def _append(folder: Path, line: str) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "probe.txt"
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    return len(path.read_text(encoding="utf-8").splitlines())
