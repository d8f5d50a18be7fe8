"""Clients that want work done and do not give up: they repeat what failed, under the same idempotency key."""

import asyncio
import random
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from uuid import UUID

import httpx

from contracts.runs import TERMINAL

PAUSE_SECONDS = 0.25
DOCUMENT = (
    "# Leases\n\nA worker holds a lease on each run. It is renewed every five seconds.\n\n"
    "# Ledger\n\nA finished model call is recorded. A repeated step is answered from the ledger.\n\n"
)


@dataclass
class Asked:
    """A run that was accepted (202 or 200), and what it must have cost when it succeeds."""

    run_id: str
    mark: str
    calls: int | None
    ended: bool = False


@dataclass
class Load:
    """All that was asked for, and what came of many triggers with one key.

    Args:
        api_url: whom to ask.
        kinds: `probe`, `chat`, `analysis`: how often each is asked for, in relation to the others.
        give_up_at: the moment (monotonic) from which on nothing is waited for any more.
    """

    api_url: str
    kinds: dict[str, int]
    give_up_at: float = 0.0
    asked: list[Asked] = field(default_factory=list)
    duplicates: list[set[str]] = field(default_factory=list)

    async def client(self, chance: random.Random, over: asyncio.Event) -> None:
        """Ask for one run after the other until it is over, and wait for the end of each."""
        async with httpx.AsyncClient(base_url=self.api_url, timeout=20, trust_env=False) as http:
            chat: str | None = None
            while not over.is_set():
                mark = new_mark(chance)
                kind = chance.choices(list(self.kinds), list(self.kinds.values()))[0]
                if kind == "chat" and (chat is None or chance.random() < 0.3):
                    chat = (await self._insist(http, "/api/v1/chats", {"title": mark}, None))["id"]
                if kind == "chat":
                    path, calls = f"/api/v1/chats/{chat}/messages", 1
                    body: dict[str, Any] = {
                        "content": f"{mark} How long does a lease last?",
                        "context": DOCUMENT,
                    }
                else:
                    path, body, calls = _run(kind, mark, chance)
                answer = await self._insist(http, path, body, mark)
                run = Asked(str(answer.get("run", answer)["id"]), mark, calls)
                self.asked.append(run)
                await self._ended(http, run)

    async def all_at_once(self, chance: random.Random, triggers: int) -> None:
        """Trigger the same run many times at the same moment with one key, each until it is answered."""
        mark = new_mark(chance)
        limits = httpx.Limits(max_connections=triggers)
        path, body, calls = _run("probe", mark, chance)
        async with httpx.AsyncClient(
            base_url=self.api_url, timeout=30, trust_env=False, limits=limits
        ) as http:
            answers = await asyncio.gather(*(self._insist(http, path, body, mark) for _ in range(triggers)))
            ids = {answer["id"] for answer in answers}
            self.duplicates.append(ids)
            runs = [Asked(each, mark, calls) for each in sorted(ids)]
            self.asked += runs
            for run in runs:
                await self._ended(http, run)

    async def _insist(
        self, http: httpx.AsyncClient, path: str, body: dict[str, Any], key: str | None
    ) -> dict[str, Any]:
        headers = {"Idempotency-Key": key} if key else {}
        while True:
            try:
                answer = await http.post(path, json=body, headers=headers)
                if answer.is_success:
                    return dict(answer.json())
                # Everything else is the client's own mistake, or ours: neither may be repeated away.
                assert answer.status_code in {503, 504}, answer.text
            except httpx.HTTPError:
                pass
            assert not self.give_up_at or monotonic() < self.give_up_at, f"{path} was never accepted"
            await asyncio.sleep(PAUSE_SECONDS)

    async def _ended(self, http: httpx.AsyncClient, run: Asked) -> None:
        """Wait for a run's end; one that never ends is left to the audit."""
        while not self.give_up_at or monotonic() < self.give_up_at:
            try:
                answer = await http.get(f"/api/v1/runs/{run.run_id}")
                if answer.is_success and answer.json()["status"] in TERMINAL:
                    run.ended = True
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(PAUSE_SECONDS)


def new_mark(chance: random.Random) -> str:
    """Return a word that one run's prompts carry; it is the run's idempotency key as well."""
    return f"mark-{UUID(int=chance.getrandbits(128)).hex[:12]}"


def _run(kind: str, mark: str, chance: random.Random) -> tuple[str, dict[str, Any], int | None]:
    path = f"/api/v1/pipelines/{kind}/runs"
    if kind == "analysis":
        sources = [{"kind": "text", "name": f"{n}.md", "text": DOCUMENT} for n in range(chance.randint(1, 3))]
        return path, {"params": {"question": f"{mark} How long is a lease?", "sources": sources}}, None
    steps, calls = chance.randint(2, 8), chance.randint(1, 2)
    params = {
        "steps": steps,
        "calls_per_step": calls,
        "step_seconds": round(chance.uniform(0, 0.8), 2),
        "text": mark,
        "fail_at": chance.choice([None, None, steps]),
    }
    return path, {"params": params}, steps * calls
