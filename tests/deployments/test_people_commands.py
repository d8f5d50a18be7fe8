"""`millrace user create`, `millrace keys rotate`: how the first administrator and the signing keys come."""

import json
import os
import subprocess
import sys
from pathlib import Path

from api.auth.keyring import read_keys
from contracts.people import Role
from database.migrate import upgrade
from deployments.cli.people import RoleName

PROJECT = Path(__file__).parents[2]


def millrace(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "MILLRACE_HOME": str(folder),
        "DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'people.db'}",
    }
    return subprocess.run(
        [sys.executable, "-m", "deployments.cli", *arguments],
        cwd=PROJECT,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_roles_of_the_command_are_those_of_the_contract():
    assert [role.value for role in RoleName] == [role.value for role in Role]


def test_the_first_administrator_comes_from_the_command_line(tmp_path: Path):
    upgrade(f"sqlite+aiosqlite:///{tmp_path / 'people.db'}")
    create = ("user", "create", "Ada@Example.org", "--role", "admin", "--json")
    made = millrace(tmp_path, *create, stdin="correct horse battery\n")
    again = millrace(tmp_path, *create, stdin="correct horse battery\n")
    weak = millrace(tmp_path, "user", "create", "bob@example.org", stdin="hunter2\n")

    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout) | {"email": "ada@example.org", "role": "admin"} == json.loads(made.stdout)
    assert (again.returncode, "email_taken" in again.stderr) == (2, True)
    assert (weak.returncode, "at least 12" in weak.stderr, "hunter2" in weak.stderr) == (2, True, False)


def test_keys_are_made_and_renewed_without_losing_those_in_use(tmp_path: Path):
    for _ in range(2):
        done = millrace(tmp_path, "keys", "rotate")
        assert done.returncode == 0, done.stderr

    keys = read_keys(tmp_path / "auth-keys.json")
    assert len(keys) == 2
    assert keys[-1].id in done.stdout
