"""Ids that sort by creation time, so that an index on them grows at its end."""

from uuid import UUID, uuid5

import uuid_utils.compat


def new_id() -> UUID:
    """Return a new uuid7 (RFC 9562 §5.7): time-ordered, unique without coordination."""
    return uuid_utils.compat.uuid7()


def derived_id(parent: UUID, name: str) -> UUID:
    """Return the one id that `name` has under `parent`; the same arguments give the same id.

    A step that writes a row under a derived id can run twice and still write one row.
    """
    return uuid5(parent, name)
