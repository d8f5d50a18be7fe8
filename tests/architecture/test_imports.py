"""What importing does, seen from a fresh process: nothing but defining things."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.project_files import PACKAGES, ROOT

# Imports every module and reports what the interpreter was asked to do meanwhile.
WATCH = """
import importlib, json, pkgutil, sys, threading
from pathlib import Path
seen = []
def audit(event, args):
    if event in ("socket.connect", "socket.bind", "subprocess.Popen", "os.mkdir", "sqlite3.connect"):
        seen.append(f"{event} {args[:1]}")
    elif event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        seen.append(f"open {args[0]} {args[1]}")
from deployments.prefect_environment import FLAGS
import os
os.environ.update(FLAGS)
names = []
for package in sys.argv[1:]:
    module = importlib.import_module(package)
    names += [found.name for found in pkgutil.walk_packages(module.__path__, package + ".")
              if not found.name.endswith("__main__")]
FOREIGN = ["prefect", "dspy", "fastapi", "sqlalchemy.ext.asyncio", "prefect.workers.base",
           "prefect.server.database.dependencies", "uvicorn", "typer", "rich.progress"]
for name in FOREIGN:
    importlib.import_module(name)
before = set(threading.enumerate())
sys.addaudithook(audit)
for name in names:
    importlib.import_module(name)
print(json.dumps({
    "modules": len(names),
    "seen": [each for each in seen if "__pycache__" not in each],
    "threads": [thread.name for thread in set(threading.enumerate()) - before],
    "home": Path(os.environ["MILLRACE_HOME"]).exists(),
}))
"""


def in_a_new_process(code: str, *arguments: str, **environment: str) -> str:
    """Return what a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.timeout(600)
def test_importing_any_of_our_modules_opens_writes_and_starts_nothing(tmp_path: Path):
    """A test, a tool or a form in the Prefect UI imports us: it must not connect, write or start a thread.

    Our libraries are imported first, so that what is seen is ours.
    """
    folder = tmp_path / "home"
    said = json.loads(in_a_new_process(WATCH, *PACKAGES, MILLRACE_HOME=str(folder)).splitlines()[-1])

    assert said["modules"] > 50
    assert said["seen"] == []
    assert said["threads"] == []
    assert said["home"] is False


LOADED = """
import sys
import api.app, api.serve
print([name for name in ("prefect", "dspy", "litellm", "flows", "modules", "llm", "tools", "deployments")
       if name in sys.modules])
"""


def test_the_api_does_not_even_load_what_it_must_not_import():
    """A second and 200 MB at each start; import-linter sees only the imports that are written down."""
    assert in_a_new_process(LOADED).strip() == "[]"


LIGHT = """
import sys, importlib
importlib.import_module(sys.argv[1])
print([name for name in sys.argv[2:] if name in sys.modules])
"""
HEAVY = ("prefect", "dspy", "litellm", "fastapi", "sqlalchemy", "uvicorn", "alembic")


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        pytest.param("deployments.cli.app", (*HEAVY, "httpx"), id="for its help"),
        pytest.param("deployments.cli.client", HEAVY, id="to ask the API"),
    ],
)
def test_the_command_line_loads_nothing_heavy(module: str, unwanted: tuple[str, ...]):
    """`millrace --help` answers at once because each command imports what it needs when it runs."""
    assert in_a_new_process(LIGHT, module, *unwanted).strip() == "[]"
