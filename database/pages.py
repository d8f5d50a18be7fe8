"""Lists that are read page by page, by where the last page ended."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from runtime.errors import BadInput

T = TypeVar("T")
MAX_PAGE = 200


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items, and what to send to get those behind them; None at the end."""

    items: list[T]
    next_cursor: str | None


def encode_cursor(*place: str) -> str:
    """Return the place of the last item as text that callers pass back and do not read."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, parts: int) -> list[str]:
    """Return what `encode_cursor` was given.

    Raises:
        BadInput: `bad_cursor`, it is not from such a list.
    """
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        raise bad_cursor() from None
    if not isinstance(place, list) or len(place) != parts or not all(isinstance(part, str) for part in place):
        raise bad_cursor()
    return place


def cursor_id(cursor: str) -> UUID:
    """Return the id of the last item, for a list in the order of ids.

    Raises:
        BadInput: `bad_cursor`, it is not from such a list.
    """
    (text,) = decode_cursor(cursor, parts=1)
    try:
        return UUID(text)
    except ValueError:
        raise bad_cursor() from None


def bad_cursor() -> BadInput:
    """Return the error for a cursor that is not from this list."""
    return BadInput("The cursor is not from this list. Start again without one.", "bad_cursor")
