"""What a call means, and the print under which the ledger finds it again."""

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dspy.lm15 import Request


def meaning(request: "Request") -> dict[str, Any]:
    """Return a request's messages, system text, tools and generation settings as JSON.

    The model's name is no part of it: code asks a role, and configuration may give that role another model
    between two attempts. Nor is whether the answer is streamed, so a streamed call replays a whole one.
    """
    from dspy._vendor.lm15.serde import request_to_dict

    asked: dict[str, Any] = request_to_dict(request)
    del asked["model"]
    return asked


def fingerprint(kind: str, role: str, asked: dict[str, Any]) -> str:
    """Return the SHA-256 of a call's meaning in hex; equal meanings give equal prints in every process.

    Keys are sorted and nothing depends on hash seeds, memory addresses or the time.
    """
    canonical = json.dumps(
        {"kind": kind, "role": role, "request": asked},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return hashlib.sha256(canonical.encode()).hexdigest()
