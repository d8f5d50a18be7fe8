"""One way to tell the time: UTC, aware, microseconds."""

from datetime import UTC, datetime


def utcnow() -> datetime:
    """Return the current time in UTC, with its zone."""
    return datetime.now(UTC)
