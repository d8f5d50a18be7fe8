"""What benchmarks/optimize.py compares does the same work on both sides."""

import asyncio
import json

import pytest

from benchmarks.peers.optimizer_runs import durable, plain
from llm.quiet_litellm import NOISE
from tests.fixtures.model_server import ModelServer
from tests.fixtures.optimizing import PROVIDERS

pytestmark = [
    pytest.mark.timeout(300),
    *(pytest.mark.filterwarnings(f"ignore:{message}") for message in NOISE),
]


async def test_both_ways_come_to_the_same_program_by_as_many_calls(
    database_url: str, tmp_path, capsys: pytest.CaptureFixture[str]
):
    server = ModelServer().start()
    providers = tmp_path / "providers.yaml"
    providers.write_text(PROVIDERS % server.url)
    await asyncio.to_thread(plain, server.url, 1)
    by_plain = server.total().answers
    await durable(database_url, providers, 1, resume=False)
    by_durable = server.total().answers - by_plain
    server.stop()
    one, other = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert by_plain == by_durable == other["calls"] > 40
    assert (one["hash"], one["score"]) == (other["hash"], other["score"])
