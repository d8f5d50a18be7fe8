"""The one text of a request that may be said in other words; all the rest must be the same to the letter."""

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm.fingerprint import meaning
from llm.semantic.guard import LONGEST
from runtime.masking import masked

if TYPE_CHECKING:
    from dspy.lm15 import Request

# Where DSPy's adapters put an input into a message, and where its instructions go on behind the last one.
_FIELD = re.compile(r"^\[\[ ## (\w+) ## \]\]\n", re.MULTILINE)
_INSTRUCTIONS = re.compile(r"\n\n(?:Respond with|Outputs will|In adhering)[^\n]*(?:\n[^\n]*)*\Z")
# Of several inputs, the one that asks.
_ASKING = ("question", "message", "query")
_HERE = "\x00"


@dataclass(frozen=True, slots=True)
class Question:
    """What a request asks, and everything else in it as one text.

    Earlier messages (a chat's history, demos), instructions, other inputs such as documents, and all
    parameters are in `rest`.
    """

    text: str
    rest: str


def question_of(request: "Request") -> Question | None:
    """Return the question of a request; none where an answer must not be used for other words.

    That is: with tools, because their calls act; when a person does not speak last; when that message holds
    something else than text, or several inputs none of which asks; and when the question is longer than
    the guard can judge.
    """
    if request.tools or not request.messages or request.messages[-1].role != "user":
        return None
    last = request.messages[-1]
    if len(last.parts) != 1 or last.parts[0].type != "text":
        return None
    whole = last.parts[0].text
    start, end = _place(whole)
    text = whole[start:end].strip()
    if not text or len(text) > LONGEST or _HERE in whole:
        return None
    asked: dict[str, Any] = meaning(request)
    spot = asked["messages"][-1]["parts"][0]
    spot["text"] = whole[:start] + _HERE + whole[end:]
    return Question(str(masked(text)), json.dumps(asked, sort_keys=True, ensure_ascii=False))


def _place(whole: str) -> tuple[int, int]:
    """Return where the question begins and ends; an empty place when nobody can say."""
    fields = list(_FIELD.finditer(whole))
    if not fields:
        return 0, len(whole)
    names = [found[1] for found in fields]
    asking = [name for name in names if name in _ASKING]
    if len(set(names)) != len(names) or whole[: fields[0].start()].strip():
        return 0, 0
    if len(names) > 1 and len(asking) != 1:
        return 0, 0
    at = names.index(asking[0]) if asking else 0
    behind = fields[at + 1].start() if at + 1 < len(fields) else len(whole)
    if at + 1 == len(fields) and (told := _INSTRUCTIONS.search(whole, fields[at].end())):
        behind = told.start()
    return fields[at].end(), behind
