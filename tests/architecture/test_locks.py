"""The locks: what is installed is what pyproject asks for, byte for byte, from wherever it is fetched."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.fixtures.project_files import PIN, ROOT, lock_text, pins

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = ("api", "worker", "dev")


def required(extra: str) -> list[Requirement]:
    """Return what pyproject asks for with an extra, the extras that it includes among it."""
    asked = [Requirement(line) for line in PROJECT["optional-dependencies"][extra]]
    included = [each for each in asked if each.name == PROJECT["name"]]
    inner = [need for each in included for name in each.extras for need in required(name)]
    base = [Requirement(line) for line in PROJECT["dependencies"]]
    return [*base, *inner, *(each for each in asked if each.name != PROJECT["name"])]


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_requirement_of_pyproject_is_pinned_inside_its_bounds(extra: str):
    """A bound that was changed without `make lock` would only show on a fresh machine."""
    pinned = pins(extra)
    for requirement in required(extra):
        versions = [version for version, _ in pinned.get(canonicalize_name(requirement.name), [])]
        assert versions, f"{requirement} is not in requirements/{extra}.txt: run `make lock`"
        outside = [version for version in versions if version not in requirement.specifier]
        assert not outside, f"{requirement} is pinned to {outside}: run `make lock`"


@pytest.mark.parametrize("lock", [*EXTRAS, "uv"])
def test_every_pin_carries_a_hash_and_every_line_is_a_pin(lock: str):
    """One line without a hash would let pip install anything under that name."""
    pinned = pins(lock)
    assert pinned
    for package, versions in pinned.items():
        for version, rest in versions:
            assert "--hash=sha256:" in rest, f"{package} {version} has no hash"
    left = PIN.sub("", lock_text(lock))
    assert [line for line in left.splitlines() if line and not line.lstrip().startswith("#")] == []


@pytest.mark.parametrize("lock", [*EXTRAS, "uv"])
def test_a_lock_names_no_place_to_download_from(lock: str):
    """Whose mirror a machine uses is that machine's business."""
    assert not re.search(r"://|index-url|find-links|trusted-host|pypi|@ ", lock_text(lock), re.IGNORECASE)


def test_the_api_is_installed_without_what_only_workers_need():
    """The API starts without dspy, litellm and Prefect because they are not there."""
    worker_only = {"prefect", "dspy", "dspy-ai", "litellm", "openai", "pypdf", "selectolax"}

    assert worker_only & pins("api").keys() == set()
    assert worker_only & pins("worker").keys() >= {"prefect", "dspy", "litellm"}


def test_a_package_has_one_version_in_all_locks():
    """On one machine API and workers share the environment that the tests ran in."""
    development = pins("dev")
    for extra in ("api", "worker"):
        for package, versions in pins(extra).items():
            expected = [version for version, _ in development[package]]
            assert [version for version, _ in versions] == expected, f"{package} of {extra}: run `make lock`"


def test_there_is_no_lock_that_names_a_registry():
    """`uv.lock` writes each file's address down."""
    assert not (ROOT / "uv.lock").exists()
    assert not list(ROOT.glob("poetry.lock"))


def test_the_uv_that_make_fetches_is_the_pinned_one():
    wanted = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert wanted
    assert [Version(wanted[1])] == [version for version, _ in pins("uv")["uv"]]


@pytest.mark.parametrize("extra", ["api", "worker"])
def test_an_image_can_ask_every_place_where_secrets_are_kept(extra: str):
    """`SECRETS_BACKEND=vault` in a container that lacks hvac would be told at its start, too late."""
    assert {"hvac", "boto3"} <= pins(extra).keys()
