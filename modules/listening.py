# mypy: allow-subclassing-any
"""Hear one field of an answer in a model's stream."""

import re
from dataclasses import dataclass
from typing import Any

import dspy

_NEXT_FIELD = re.compile(r"^[ \t]*\[\[ ## \w+ ## \]\]", re.MULTILINE)
# What such a line may look like before all of it has come.
_BEGINNING = re.compile(r"[ \t]*(?:\[|\[\[|\[\[ #{0,2}|\[\[ ## \w*(?: (?:##?(?: \]?)?)?)?)?")


class FieldListener(dspy.streaming.StreamListener):
    """A listener of DSPy that loses nothing.

    DSPy's own drops text behind `[[` inside of an answer (links of a wiki, nested lists of code) and keeps
    silent when the answer comes in one piece. Answers in other forms than ChatAdapter's are left to it.
    """

    stream_start: bool
    stream_end: bool

    def __init__(self, signature_field_name: str, **options: Any) -> None:
        super().__init__(signature_field_name, **options)
        self.heard = FieldText(signature_field_name)

    def receive(self, chunk: Any) -> dspy.streaming.StreamResponse | None:
        """Return the next piece of the field, if this chunk of the stream completes one."""
        if type(dspy.settings.adapter) not in {type(None), dspy.ChatAdapter}:
            return super().receive(chunk)
        text = chunk.choices[0].delta.content
        return self._response(self.heard.feed(text)) if text else None

    def finalize(self) -> dspy.streaming.StreamResponse | None:
        """Return what was held back in case that it is no text."""
        if self.heard.begun:
            return self._response(self.heard.rest())
        return super().finalize()

    def _response(self, text: str) -> dspy.streaming.StreamResponse | None:
        self.stream_start = self.stream_start or self.heard.begun
        self.stream_end = self.heard.ended
        if not text:
            return None
        return dspy.streaming.StreamResponse(
            self.predict_name, self.signature_field_name, text, is_last_chunk=self.heard.ended
        )


@dataclass(slots=True)
class FieldText:
    """The text between a field's header and the next one, fed in pieces of any size.

    Together the returned pieces are what ChatAdapter parses: the text without blanks around it.
    """

    name: str
    begun: bool = False
    ended: bool = False
    said: bool = False
    before: str = "]"  # the character before `held`, which tells whether that is the start of a line
    held: str = ""

    def feed(self, text: str) -> str:
        """Return the text that is certain now."""
        if self.ended:
            return ""
        self.held += text
        if not self.begun and not self._begin():
            return ""
        seen = self.before + self.held
        following = _NEXT_FIELD.search(seen)
        if following:
            self.ended = True
            return self._say(len(seen[: following.start()].rstrip()) - 1)
        line = seen.rfind("\n") + 1
        doubtful = line and _BEGINNING.fullmatch(seen, line)
        return self._say(len((seen[:line] if doubtful else seen).rstrip()) - 1)

    def rest(self) -> str:
        """Return what is left when the stream has ended."""
        if self.ended or not self.begun:
            return ""
        self.ended = True
        return self._say(len(self.held.rstrip()))

    def _begin(self) -> bool:
        """Look for the field's own header; of what came before it, only the last line may still matter."""
        header = re.search(rf"^[ \t]*\[\[ ## {self.name} ## \]\]", self.held, re.MULTILINE)
        self.begun = header is not None
        self.held = self.held[header.end() if header else self.held.rfind("\n") + 1 :]
        return self.begun

    def _say(self, end: int) -> str:
        """Return what is held up to `end`, without the blanks before the first word."""
        if end <= 0:
            return ""
        text, self.held = self.held[:end], self.held[end:]
        self.before = text[-1]
        text = text if self.said else text.lstrip()
        self.said = self.said or bool(text)
        return text
