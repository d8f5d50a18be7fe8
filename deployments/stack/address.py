"""Where this machine's API listens. Of all about the stack, what a command that only asks it needs."""

from pydantic import Field

from runtime.settings import Slice

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ApiAddress(Slice):
    """Where the API listens; the same names and defaults as in api/settings.py (a test compares them)."""

    api_host: str = Field("127.0.0.1", description="Address to listen on.")
    api_port: int = Field(8400, description="Port to listen on; 0 takes a free one.")
