"""No secret is committed: what looks like one, anywhere in the files that git has."""

import math
import re
import subprocess
from collections import Counter

import pytest

from tests.fixtures.project_files import ROOT

# Each with its home: what these look like is said by those who hand them out.
SHAPES = {
    "private key": r"-----BEGIN (?:RSA |EC |OPENSSH |PGP )?PRIVATE KEY",
    "AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{36}\b|\bgithub_pat_[A-Za-z0-9_]{60,}",
    "OpenAI or Anthropic key": r"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}",
    "Slack token": r"\bxox[abprs]-[A-Za-z0-9-]{20,}",
    "Google key": r"\bAIza[0-9A-Za-z_-]{35}\b",
    "Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}",
    "JWT": r"\beyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}",
    "key of ours": r"\bmlrt?_[A-Za-z0-9_-]{43}\b",
    "assigned secret": (
        r"(?i)(?:password|secret|api_?key|token)[\"']?\s*[:=]\s*[\"']([A-Za-z0-9+/=_-]{24,})[\"']"
    ),
}
# Hashes and generated names are random too.
BITS = 4.2
LOCKS = "requirements/"


def tracked() -> list[str]:
    """Return the files of the next commit."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607  git as the PATH has it
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def findings(text: str, made_up: bool = False) -> list[str]:
    """Return what in a text looks like a secret; what is assigned in a test may be random and made up."""
    return [
        f"{shape}: {match[0][:12]}…"
        for shape, pattern in SHAPES.items()
        for match in re.finditer(pattern, text)
        if shape != "assigned secret" or (not made_up and randomness(match[1]) > BITS)
    ]


def randomness(text: str) -> float:
    """Return the bits a character of a text (Shannon)."""
    shares = [count / len(text) for count in Counter(text).values()]
    return -sum(share * math.log2(share) for share in shares)


def test_no_file_holds_what_looks_like_a_secret():
    names = [name for name in tracked() if not name.startswith((LOCKS, "tests/architecture/test_secrets"))]
    told = {
        name: findings((ROOT / name).read_text(errors="replace"), made_up=name.startswith("tests/"))
        for name in names
    }

    assert {name: each for name, each in told.items() if each} == {}


@pytest.mark.parametrize(
    "secret",
    [
        "AKIA" + "IOSFODNN7EXAMPLE",
        "ghp_" + "a1B2" * 9,
        "sk-ant-" + "x9Y8" * 9,
        "-----BEGIN " + "PRIVATE KEY-----",
        'password = "' + "q8Zx2Lr9Tn4Vb7Kc1Mw6Yp3D" + '"',
        "mlr_" + "aB3" * 14 + "x",
    ],
)
def test_a_secret_is_noticed(secret: str):
    assert findings(f"x = 1\n{secret}\n")


@pytest.mark.parametrize(
    "text", ['password = "correct horse battery staple"', 'token: "aaaaaaaaaaaaaaaaaaaaaaaaaaaa"']
)
def test_what_people_make_up_is_not_called_a_secret(text: str):
    assert findings(text) == []
