"""A streamed answer without known secrets, wherever its pieces end."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runtime.stream_masking import StreamMask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dspy._vendor.lm15.types import StreamEvent

# Kind of a delta -> its field that holds a piece of text.
_FIELDS = {"text": "text", "thinking": "text", "tool_call": "input"}


class MaskedStream:
    """The events of one answer; text that could become a secret waits for what follows it."""

    def __init__(self) -> None:
        # By kind and part: the text of each goes on where it stopped. With the last delta, to be told again.
        self._texts: dict[tuple[str, int], tuple[StreamMask, Any]] = {}

    def passed(self, event: "StreamEvent") -> "Iterator[StreamEvent]":
        """Yield the event as far as it is certain."""
        if event.type != "delta" or event.delta.type not in _FIELDS:
            yield event
            return
        delta: Any = event.delta
        mask, _ = self._texts.setdefault((delta.type, delta.part_index), (StreamMask(), delta))
        piece = getattr(delta, _FIELDS[delta.type])
        certain = mask.feed(piece)
        self._texts[delta.type, delta.part_index] = (mask, delta)
        if certain == piece:
            yield event
        elif certain or delta.type == "tool_call":  # the first one of a tool call carries its name
            yield _with(event, certain)

    def rest(self) -> "Iterator[StreamEvent]":
        """Yield what was held back, once the answer has ended."""
        from dspy.lm15 import StreamDeltaEvent

        for mask, delta in self._texts.values():
            if held := mask.rest():
                yield _with(StreamDeltaEvent(delta), held, last=True)


def _with(event: Any, text: str, *, last: bool = False) -> "StreamEvent":
    """Return a delta with another text, and without scores of tokens that are no longer in it."""
    delta = event.delta
    changes: dict[str, Any] = {_FIELDS[delta.type]: text}
    if delta.type == "text" and delta.logprobs:
        changes |= {"logprobs": (), "logprobs_complete": False}
    if delta.type == "tool_call" and last:
        changes |= {"id": None, "name": None}
    changed: StreamEvent = replace(event, delta=replace(delta, **changes))
    return changed
