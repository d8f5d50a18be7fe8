"""The audit of locked versions: a finding fails, a network that is not there does not, and both are said."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.fixtures.project_files import ROOT

SCRIPT = ROOT / ".ci" / "audit.py"
KNOWN = "GHSA-0000-0000-0000"


@contextmanager
def osv(vulnerable: str = "", *, body: bytes | None = None, silent: bool = False) -> Iterator[str]:
    """Serve OSV's `POST /v1/querybatch` on loopback; yield its address."""
    released = threading.Event()

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))["queries"]
            if silent:
                released.wait(60)
                return
            results = [{"vulns": [{"id": KNOWN}]} if named(each) == vulnerable else {} for each in asked]
            answer = json.dumps({"results": results}).encode() if body is None else body
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        released.set()
        server.shutdown()
        server.server_close()


def named(asked: dict[str, Any]) -> str:
    assert asked["package"]["ecosystem"] == "PyPI"
    assert asked["version"]
    return asked["package"]["name"]


def audited(url: str, *arguments: str) -> tuple[int, str]:
    """Return how the script ends and what it says."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        env={"OSV_URL": url, "PATH": "", "no_proxy": "*"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [(), ("--if-reachable",)], ids=["make audit", "make check"])
def test_a_known_vulnerability_fails_and_is_named(arguments: tuple[str, ...]):
    with osv(vulnerable="httpx") as url:
        code, said = audited(url, *arguments)

    assert code == 1
    assert KNOWN in said
    assert said.startswith("httpx ")


def test_nothing_known_is_said_with_how_much_was_looked_at():
    with osv() as url:
        code, said = audited(url, "--if-reachable")

    assert (code, said.startswith("No known vulnerability in ")) == (0, True)


@pytest.mark.parametrize("how", ["gone", "odd", "short"])
def test_a_closed_network_is_said_and_fails_no_build(how: str):
    with osv(body=b"<html>Sign in</html>" if how == "odd" else b'{"results": []}') as served:
        url = "http://127.0.0.1:9" if how == "gone" else served
        skipped, said = audited(url, "--if-reachable")
        missed, _ = audited(url)

    assert skipped == 0
    assert said.startswith(f"skipped: cannot reach {url}")
    assert missed == 2  # whoever asks for an audit hears that there was none


def test_a_service_that_keeps_silent_is_not_waited_for():
    with osv(silent=True) as url:
        code, said = audited(url, "--if-reachable")

    assert (code, "skipped" in said) == (0, True)


def test_make_check_audits():
    lines = (ROOT / "Makefile").read_text().partition("check: $(READY)")[2].partition("\n\n")[0]

    assert ".ci/audit.py --if-reachable" in lines
    assert "test_secrets.py" in lines
