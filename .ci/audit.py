"""Ask OSV (osv.dev) whether a locked version has a known vulnerability: `make audit`, and in `make check`.

Ends with 0 when nothing is known, 1 with what is, 2 when nothing was audited. With `--if-reachable`, as
`make check` asks, a service that cannot be reached within seconds is said and fails nothing: a build needs no
network. What is published at night stops the next commit, and is meant to.
"""

import json
import os
import re
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

SERVICE = os.environ.get("OSV_URL", "https://api.osv.dev")
SECONDS, SECONDS_IF_REACHABLE = 20, 5
PIN = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;\\]+)", re.MULTILINE)


def main() -> int:
    if_reachable = "--if-reachable" in sys.argv[1:]
    locks = Path(__file__).parents[1] / "requirements"
    pins = sorted({pin for lock in locks.glob("*.txt") for pin in PIN.findall(lock.read_text())})
    asked = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in pins]
    told: list[Any] = []
    seconds = SECONDS_IF_REACHABLE if if_reachable else SECONDS
    # In a thread: looking a name up without a network takes as long as it likes.
    asking = threading.Thread(target=ask, args=(asked, seconds, told), daemon=True)
    asking.start()
    asking.join(seconds)
    if not told or isinstance(told[0], str):
        why = told[0] if told else "no answer"
        if if_reachable:
            print(f"skipped: cannot reach {SERVICE} ({why}); no vulnerability was looked for.")
            return 0
        print(f"NOT AUDITED: {SERVICE} does not answer ({why}).", file=sys.stderr)
        return 2
    found = [
        f"{name} {version}: {', '.join(each['id'] for each in answer['vulns'])}"
        for (name, version), answer in zip(pins, told[0], strict=True)
        if answer.get("vulns")
    ]
    print("\n".join(found) or f"No known vulnerability in {len(pins)} locked versions.")
    return 1 if found else 0


def ask(asked: list[dict[str, Any]], seconds: float, told: list[Any]) -> None:
    """Put the answers into `told`, or in words why there are none."""
    request = urllib.request.Request(
        f"{SERVICE}/v1/querybatch",
        json.dumps({"queries": asked}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            results = json.load(answer)["results"]
        told.append(results if len(results) == len(asked) else "answers something else")
    except (urllib.error.URLError, OSError, ValueError, KeyError, TypeError) as error:
        told.append(type(error).__name__)


if __name__ == "__main__":
    sys.exit(main())
