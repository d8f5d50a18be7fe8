"""What `millrace evaluate` says: what it will take before, and why examples have no answer after."""

from typing import Any
from uuid import UUID

import pytest

from deployments.cli import evaluate
from runtime.ids import new_id

EVALUATION, EXAMPLE = new_id(), new_id()
SCORE: dict[str, Any] = {
    "version": 3,
    "score": {"value": 0.5, "low": 0.2, "high": 0.8},
    "examples": 8,
    "failures": 6,
    "cost_usd": None,
    "latency_ms": 4.0,
}
FAILED = {"example_id": str(EXAMPLE), "error": {"code": "model_refused", "message": "It would not."}}


class RecordedApi:
    """Answers as the API did, a page of results."""

    def __init__(self, cursor: str | None) -> None:
        self.cursor = cursor
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        self.asked.append((path, query))
        return {"items": [FAILED], "next_cursor": self.cursor}


def shown(monkeypatch: pytest.MonkeyPatch, api: RecordedApi, failures: int) -> None:
    import asyncio

    monkeypatch.setattr(evaluate, "asked", lambda ask: asyncio.run(ask(api)))
    scores = [{**SCORE, "failures": failures}]
    evaluate.show_all({"evaluation_id": str(EVALUATION), "scores": scores, "comparison": None})


@pytest.mark.parametrize(("cursor", "more"), [(None, False), ("next", True)])
def test_failures_are_told_with_their_reasons(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cursor: str | None, more: bool
):
    api = RecordedApi(cursor)
    shown(monkeypatch, api, failures=6)
    told = capsys.readouterr().out
    assert f"example {UUID(str(EXAMPLE))}: It would not. (model_refused)" in told
    assert ("The others: GET /api/v1/evaluations/" in told) is more
    assert api.asked == [(f"/evaluations/{EVALUATION}/results", {"failed": True, "limit": 5})]


def test_nobody_is_asked_where_nothing_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    api = RecordedApi(None)
    shown(monkeypatch, api, failures=0)
    assert api.asked == []
    assert "0.500" in capsys.readouterr().out


def test_an_estimate_says_what_nobody_knows():
    known = {"calls": 12, "usd": "0.02", "seconds": 3.5}
    assert evaluate.in_words(known) == "12 calls, 0.02 USD, 3.5 s"
    free = {"calls": 12, "usd": "0E-10", "seconds": 3.5}
    assert evaluate.in_words(free) == "12 calls, 0 USD, 3.5 s"
    unknown = {"calls": 12, "usd": None, "seconds": None}
    assert evaluate.in_words(unknown) == "12 calls, an unknown price, an unknown time"
