"""Ports that the stack listens on: free, or named with the setting that moves them."""

import asyncio
import socket

from runtime.errors import ConfigurationProblem


async def claim_port(host: str, port: int, setting: str, *, any_free: bool, wait_seconds: float = 0) -> int:
    """Return a port that can be listened on.

    Args:
        host: the address to listen on.
        port: the wanted port; 0 asks for any.
        setting: the environment variable that sets it, for the message.
        any_free: take any free one; the usual ones would be raced for by stacks that start together.
        wait_seconds: how long a busy port is waited for (a stack that is still ending holds it).

    Raises:
        ConfigurationProblem: it is busy and no other may be taken.
    """
    if any_free:
        return _free_port(host)
    deadline = asyncio.get_running_loop().time() + wait_seconds
    while port and not _is_free(host, port):
        if asyncio.get_running_loop().time() >= deadline:
            raise ConfigurationProblem(
                f"Port {port} of {host} is in use. Stop what listens there, set {setting}=<another port>,"
                " or let Millrace choose with --free-ports.",
                code="port_busy",
                detail={"port": port, "setting": setting},
            )
        await asyncio.sleep(0.2)
    return port or _free_port(host)


def _is_free(host: str, port: int) -> bool:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError:
            return False
    return True


def _free_port(host: str) -> int:
    family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.bind(address)
        return int(probe.getsockname()[1])
