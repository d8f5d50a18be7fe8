"""Ports that something else listens on."""

import asyncio
import socket
from collections.abc import Iterator

import pytest
from typer.main import get_command

from deployments.cli.app import app
from deployments.stack.ports import claim_port
from runtime.errors import ConfigurationProblem


@pytest.fixture
def busy() -> Iterator[socket.socket]:
    """A socket that listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


async def test_a_busy_port_is_named_with_the_setting_that_moves_it(busy: socket.socket):
    port = busy.getsockname()[1]

    with pytest.raises(ConfigurationProblem) as caught:
        await claim_port("127.0.0.1", port, "API_PORT", any_free=False)

    assert f"Port {port} of 127.0.0.1 is in use" in caught.value.message
    assert "API_PORT" in caught.value.message
    assert "--free-ports" in caught.value.message


async def test_another_port_is_taken_when_that_is_allowed(busy: socket.socket):
    port = busy.getsockname()[1]

    assert port != await claim_port("127.0.0.1", port, "API_PORT", any_free=True)


async def test_any_free_port_means_any_even_where_the_wanted_one_is_free():
    """Stacks that start together would else race for the usual ports; the help says so."""
    wanted = await claim_port("127.0.0.1", 0, "API_PORT", any_free=False)

    taken = {await claim_port("127.0.0.1", wanted, "API_PORT", any_free=True) for _ in range(3)}

    assert taken != {wanted}
    options = get_command(app).commands["up"].params  # type: ignore[attr-defined]
    told = next(each.help for each in options if each.name == "free_ports")
    assert told == "Take any free ports instead of the usual ones."


async def test_a_free_port_is_kept_and_zero_means_any(busy: socket.socket):
    port = busy.getsockname()[1]
    busy.close()

    # Waited for, because the machine may lend the port to some other program's connection meanwhile.
    assert port == await claim_port("127.0.0.1", port, "API_PORT", any_free=False, wait_seconds=60)
    assert await claim_port("127.0.0.1", 0, "API_PORT", any_free=False) > 0


async def test_a_port_that_a_dying_stack_still_holds_is_waited_for(busy: socket.socket):
    """After `kill -9` of `millrace up` its processes need a moment to notice."""
    port = busy.getsockname()[1]
    asyncio.get_running_loop().call_later(0.3, busy.close)

    assert port == await claim_port("127.0.0.1", port, "API_PORT", any_free=False, wait_seconds=60)
