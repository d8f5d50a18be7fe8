"""Our HTTP API as the command line uses it: typed answers, and errors in one sentence."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from pydantic import Field, SecretStr

from contracts.approvals import Approval
from contracts.budgets import Budget
from contracts.chat import Chat, Message
from contracts.receipts import Receipt
from contracts.runs import Event, Run
from deployments.cli.sse import Sent, read_events
from deployments.stack.address import LOOPBACK, ApiAddress
from deployments.stack.presence import running_stack
from runtime.errors import BadInput, MillraceError, Unavailable
from runtime.home import home
from runtime.settings import Slice

V1 = "/api/v1"
TIMEOUT_SECONDS = 70
RECONNECTS = 10
# The API takes 6 MiB a request.
UPLOAD_BYTES = 5 * 1024 * 1024
UPLOAD_FILES = 50
# The details of other problems are sentences that say it all.
NEEDS_TITLE = frozenset({"invalid_parameters", "internal_error"})


class ClientSettings(Slice):
    """Which API the command line asks."""

    millrace_api_url: str | None = Field(
        None,
        description="The API that `millrace run` and `millrace status` ask. By default the running stack's,"
        " else http://API_HOST:API_PORT.",
    )
    millrace_api_key: SecretStr | None = Field(
        None,
        description="The API key that `millrace run` and `millrace status` send, where callers are asked.",
    )


def api_url() -> str:
    """Return the API's address: as set, else of the running stack, else where one would be started."""
    if told := ClientSettings().millrace_api_url:
        return told.rstrip("/")
    if stack := running_stack(home()):
        return stack.api_url
    address = ApiAddress()
    return f"http://{address.api_host}:{address.api_port}"


class Api:
    """A connection to the API; use it as `async with`."""

    def __init__(self, url: str) -> None:
        self.url = url
        # A proxy of the environment is for the world outside.
        outside = urlsplit(url).hostname not in LOOPBACK
        key = ClientSettings().millrace_api_key
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        self._http = httpx.AsyncClient(
            base_url=url, timeout=TIMEOUT_SECONDS, trust_env=outside, headers=headers
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._http.aclose()

    async def start_run(
        self,
        pipeline: str,
        params: Mapping[str, Any],
        key: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Run:
        """Start a run; with an idempotency key the same one again, however often it is asked for."""
        headers = {"Idempotency-Key": key} if key else {}
        asked = {"params": params, "options": options or {}}
        body = await self._call("POST", f"{V1}/pipelines/{pipeline}/runs", json=asked, headers=headers)
        return Run.model_validate(body)

    async def cancel(self, run_id: UUID) -> Run:
        """Call a run off."""
        return Run.model_validate(await self._call("POST", f"{V1}/runs/{run_id}/cancel"))

    async def retry(self, run_id: UUID) -> Run:
        """Put a run that did not succeed back into the queue."""
        return Run.model_validate(await self._call("POST", f"{V1}/runs/{run_id}/retry"))

    async def fork(self, run_id: UUID, changed: Mapping[str, Any], key: str | None = None) -> Run:
        """Start a run that begins with what an ended one has recorded; once, with an idempotency key."""
        headers = {"Idempotency-Key": key} if key else {}
        path = f"{V1}/runs/{run_id}/fork"
        return Run.model_validate(await self._call("POST", path, json=changed, headers=headers))

    async def run(self, run_id: UUID) -> Run:
        """Return a run as it is now."""
        return Run.model_validate(await self._call("GET", f"{V1}/runs/{run_id}"))

    async def resume(self, run_id: UUID) -> Run:
        """Let a waiting run go on."""
        return Run.model_validate(await self._call("POST", f"{V1}/runs/{run_id}/resume"))

    async def approvals(self, **query: str | int) -> list[dict[str, Any]]:
        """Return the newest questions of runs, without what they are about."""
        page = await self._call("GET", f"{V1}/approvals", params=query)
        return list(page["items"])

    async def approval(self, approval_id: UUID) -> Approval:
        """Return a question of a run."""
        return Approval.model_validate(await self._call("GET", f"{V1}/approvals/{approval_id}"))

    async def decide(
        self, asked: Approval, decision: str, comment: str | None, result: Any = None
    ) -> Approval:
        """Answer a question as it was read."""
        body = {"decision": decision, "digest": asked.digest, "comment": comment, "result": result}
        answer = await self._call("POST", f"{V1}/approvals/{asked.id}/decision", json=body)
        return Approval.model_validate(answer)

    async def finished(self, run_id: UUID) -> Run:
        """Return a run once it has ended."""
        async for _ in self.events(run_id):
            pass
        return await self.run(run_id)

    async def runs(self, **query: str | int) -> list[dict[str, Any]]:
        """Return the newest runs, without their parameters and results."""
        page = await self._call("GET", f"{V1}/runs", params=query)
        return list(page["items"])

    async def calls(self, run_id: UUID) -> list[dict[str, Any]]:
        """Return the first model calls of a run."""
        page = await self._call("GET", f"{V1}/runs/{run_id}/calls")
        return list(page["items"])

    async def receipt(self, run_id: UUID) -> Receipt:
        """Return what became of a run and what it cost."""
        return Receipt.model_validate(await self._call("GET", f"{V1}/runs/{run_id}/receipt"))

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Return what stands at a path of the API's first version."""
        return dict(await self._call("GET", f"{V1}{path}", params=query))

    async def text(self, path: str) -> str:
        """Return what stands at a path of the API's first version, as text."""
        answer = await self._http.get(f"{V1}{path}")
        if not answer.is_success:
            raise _problem(answer)
        return answer.text

    async def post(self, path: str, body: Any, **query: Any) -> dict[str, Any]:
        """Send JSON to a path of the API's first version, and return the answer."""
        return dict(await self._call("POST", f"{V1}{path}", json=body, params=query))

    async def put(self, path: str, body: Any) -> dict[str, Any]:
        """Put JSON at a path of the API's first version, and return the answer."""
        return dict(await self._call("PUT", f"{V1}{path}", json=body))

    async def delete(self, path: str) -> None:
        """Delete what stands at a path of the API's first version."""
        await self._call("DELETE", f"{V1}{path}")

    async def budgets(self, **query: str | int) -> list[Budget]:
        """Return the newest budgets."""
        page = await self._call("GET", f"{V1}/budgets", params=query)
        return [Budget.model_validate(each) for each in page["items"]]

    async def set_budget(self, body: Mapping[str, Any]) -> Budget:
        """Set a cap, or change it."""
        return Budget.model_validate(await self._call("PUT", f"{V1}/budgets", json=body))

    async def remove_budget(self, budget_id: UUID) -> None:
        """Take a cap away."""
        await self._call("DELETE", f"{V1}/budgets/{budget_id}")

    async def readiness(self) -> dict[str, Any]:
        """Return what `/readyz` says, ready or not."""
        return dict(await self._call("GET", "/readyz", also=(503,)))

    async def events(self, run_id: UUID) -> AsyncIterator[Event]:
        """Yield every event of a run from its first to its last, across lost connections."""
        seen, losses = 0, 0
        while True:
            try:
                async with self._stream("GET", f"{V1}/runs/{run_id}/events", after=seen) as sent:
                    async for each in sent:
                        event = Event.model_validate_json(each.data)
                        seen, losses = event.seq, 0
                        yield event
                if (await self.run(run_id)).status.terminal:
                    return
            except (httpx.TransportError, Unavailable):
                losses += 1
                if losses > RECONNECTS:
                    raise
                await asyncio.sleep(min(losses, 3))

    async def open_chat(self, title: str) -> Chat:
        """Open a conversation."""
        return Chat.model_validate(await self._call("POST", f"{V1}/chats", json={"title": title}))

    @asynccontextmanager
    async def say(
        self, chat_id: UUID, content: str, mode: str, context: str = ""
    ) -> AsyncIterator[AsyncIterator[Event | Message]]:
        """Say something in a conversation, and yield the events of its answering and then the answer."""
        body = {"content": content, "mode": mode, "context": context, "stream": True}
        async with self._stream("POST", f"{V1}/chats/{chat_id}/messages", json=body) as sent:
            yield _turn(sent)

    async def upload(self, paths: Sequence[Path]) -> list[UUID]:
        """Upload files, several in a request, and return their ids in the given order."""
        ids: list[UUID] = []
        for batch in _batches(paths):
            # Read in a thread: a document may be on a slow disk, and events are waited for meanwhile.
            contents = await asyncio.to_thread(_contents, batch)
            files = [("files", (path.name, content)) for path, content in zip(batch, contents, strict=True)]
            answer = await self._call("POST", f"{V1}/files", files=files)
            ids += [UUID(item["id"]) for item in answer["items"]]
        return ids

    async def _call(self, method: str, path: str, also: tuple[int, ...] = (), **request: Any) -> Any:
        try:
            answer = await self._http.request(method, path, **request)
        except httpx.TransportError as problem:
            raise self._unreachable(problem) from problem
        if not answer.is_success and answer.status_code not in also:
            raise _problem(answer)
        return answer.json() if answer.content else None

    @asynccontextmanager
    async def _stream(
        self, method: str, path: str, after: int = 0, **request: Any
    ) -> AsyncIterator[AsyncIterator[Sent]]:
        headers = {"Last-Event-ID": str(after)} if after else {}
        try:
            async with self._http.stream(method, path, headers=headers, **request) as answer:
                if not answer.is_success:
                    await answer.aread()
                    raise _problem(answer)
                yield read_events(answer.aiter_lines())
        except httpx.ConnectError as problem:
            raise self._unreachable(problem) from problem

    def _unreachable(self, problem: Exception) -> Unavailable:
        return Unavailable(
            f"The API at {self.url} does not answer ({type(problem).__name__}). Start it with `millrace up`,"
            " or set MILLRACE_API_URL to one that runs elsewhere.",
            code="api_unreachable",
        )


async def _turn(sent: AsyncIterator[Sent]) -> AsyncIterator[Event | Message]:
    async for each in sent:
        if each.kind == "failed":
            failure = json.loads(each.data)
            error = failure.get("error") or {}
            raise MillraceError(
                f"Run {failure['run_id']} {failure['status']}: {error.get('message', 'no reason was given')}",
                code=error.get("code", "run_failed"),
            )
        if each.kind == "message":
            yield Message.model_validate_json(each.data)
        else:
            yield Event.model_validate_json(each.data)


def _problem(answer: httpx.Response) -> MillraceError:
    """Return the error that a problem document (RFC 9457) tells of."""
    try:
        body = answer.json()
        code = str(body["code"])
        message = f"{body['title']}: {body['detail']}" if code in NEEDS_TITLE else str(body["detail"])
    except (ValueError, KeyError, TypeError):
        message = f"{answer.request.method} {answer.request.url.path} was answered with {answer.status_code}."
        code = "unexpected_answer"
    kind = BadInput if answer.is_client_error else Unavailable
    return kind(message, code=code)


def _contents(paths: Sequence[Path]) -> list[bytes]:
    return [path.read_bytes() for path in paths]


def _batches(paths: Sequence[Path]) -> list[list[Path]]:
    batches: list[list[Path]] = []
    size = 0
    for path in paths:
        added = path.stat().st_size
        if not batches or size + added > UPLOAD_BYTES or len(batches[-1]) == UPLOAD_FILES:
            batches.append([])
            size = 0
        batches[-1].append(path)
        size += added
    return batches
