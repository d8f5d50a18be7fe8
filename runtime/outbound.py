"""Connections to addresses that somebody else has named: never into our own network.

A name is looked up once, here, and the connection goes to the address that was checked: a name server that
answers differently a moment later (DNS rebinding) gains nothing. Nobody follows redirects.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable

import httpcore

from runtime.errors import BadInput

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# RFC 6052: IPv4 behind a translator, with the address in the last 32 bits.
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
# RFC 4291: of IPv6 nothing else is given out. Site-local (fec0::/10) and IPv4-compatible (::/96) addresses,
# which Python calls global, lie outside; so does what a later RFC reserves there.
_UNICAST = ipaddress.IPv6Network("2000::/3")
# RFC 9637, for documentation; and RFC 7526, where nobody listens any more. Python 3.11 knows neither.
_UNUSED = (ipaddress.IPv6Network("3fff::/20"), ipaddress.IPv4Network("192.88.99.0/24"))


class Outbound(httpcore.AnyIOBackend):
    """Opens connections to public addresses only; `httpcore.AsyncConnectionPool(network_backend=...)`.

    Args:
        allow_private: also to addresses of this machine and of inner networks, for local development.
    """

    def __init__(self, *, allow_private: bool = False) -> None:
        super().__init__()
        self._allow_private = allow_private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of a host.

        Raises:
            BadInput: `internal_address`.
        """
        address = await looked_up(host, port)
        if not self._allow_private and not is_public(address):
            raise BadInput("the address belongs to an inner network", code="internal_address")
        return await super().connect_tcp(str(address), port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109  httpcore's signature
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: a socket file is always inside."""
        raise BadInput(f"{path} is a file of this machine", code="internal_address")


async def looked_up(host: str, port: int) -> Address:
    """Return the address that a name stands for.

    Raises:
        BadInput: `unknown_host`.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise BadInput(f"the name {host} has no address", code="unknown_host") from None
    return ipaddress.ip_address(str(found[0][4][0]).partition("%")[0])


def is_public(address: Address) -> bool:
    """Return whether an address is of the internet, and not of a machine's or a network's inside."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address not in _UNICAST:
            return False
    unused = any(address in network for network in _UNUSED)
    return address.is_global and not address.is_multicast and not unused
