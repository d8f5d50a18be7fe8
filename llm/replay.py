"""Answers as the ledger keeps them, and as they come back: whole, or streamed again."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llm.backend import Reply
from runtime.masking import masked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dspy._vendor.lm15.types import StreamEvent
    from dspy.lm15 import Response


def recorded(reply: Reply) -> dict[str, Any]:
    """Return an answer as JSON, without the provider's raw body, which says everything a second time."""
    from dspy._vendor.lm15.serde import response_to_dict

    kept: dict[str, Any] = response_to_dict(reply.response)
    if reply.metadata is not None:
        kept["metadata"] = reply.metadata
    return kept


def restored(kept: dict[str, Any]) -> "Response":
    """Return a recorded answer; its metadata stands in `provider_data`."""
    from dspy._vendor.lm15.serde import response_from_dict

    return replace(response_from_dict(kept), provider_data=kept.get("metadata"))


def without_secrets(reply: Reply) -> Reply:
    """Return an answer without known secrets: what a program sees is what a replay will show it again."""
    kept = recorded(reply)
    clean = masked(kept)
    return reply if clean is kept else replace(reply, response=restored(clean))


def events_of(response: "Response") -> "Iterator[StreamEvent]":
    """Yield a whole answer as a stream, word by word.

    In pieces, because DSPy takes a stream of a single piece for a cache hit and shows nothing of it.
    """
    from dspy.lm15 import StreamDeltaEvent, TextDelta, response_to_events

    for event in response_to_events(response):
        if event.type != "delta" or event.delta.type != "text":
            yield event
            continue
        whole = event.delta
        for place, piece in enumerate(_pieces(whole.text)):
            # Log probabilities belong to the whole text; they travel with its first piece.
            scores, complete = (whole.logprobs, whole.logprobs_complete) if place == 0 else ((), True)
            delta = TextDelta(piece, whole.part_index, scores, logprobs_complete=complete)
            yield StreamDeltaEvent(delta)


def _pieces(text: str) -> list[str]:
    """Return the words of a text, each with the space after it; at least two pieces where possible."""
    words = re.findall(r"\S+\s*|\s+", text)
    if len(words) == 1 and len(text) > 1:
        return [text[: len(text) // 2], text[len(text) // 2 :]]
    return words or [text]
