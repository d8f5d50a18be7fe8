"""What an input is for, by its name and its words: a question, material, a draft, a reference."""

import re

from llm.offline.words import bag, spoken, stems

_ROLES = {
    "question": bag("question query message request task topic focus ask prompt goal"),
    "reference": bag("truth reference expected gold correct"),
    "draft": bag(
        "answer draft response prediction candidate output statement claim hypothesis assertion reply"
        " completion summary"
    ),
    "aside": bag("history tools conversation trajectory problems problem feedback asked missing gaps"),
}
_ROLE_OF = {word: role for role, words in _ROLES.items() for word in sorted(words)}
AGENT = "agent_instructions"  # of modules/chat.py: how to answer, which a model without weights cannot obey
_ORDERS = re.compile(
    r"^(?:please\s+)?(?:summari[sz]e|list|explain|extract|find|describe|tell|give|what|who|when|where|why|how"
    r"|which|write|name|show|compare|count|classify|identify)\b",
    re.IGNORECASE,
)
_READ_CHARS = 2_000  # at each end of a text; what it asks is said there


def role_of(name: str) -> str:
    """Return what an input of this name is for: its last word tells first; the rest is `material`."""
    if name == AGENT:
        return "aside"
    words = spoken(name).split()
    return next((_ROLE_OF[word] for word in (*words[-1:], *words) if word in _ROLE_OF), "material")


def asks(text: str) -> bool:
    """Whether a text asks or orders something."""
    if "?" in text[:_READ_CHARS] or "?" in text[-_READ_CHARS:]:
        return True
    return orders(text)


def orders(text: str) -> bool:
    """Whether a text begins with a word of command or of asking, and goes on."""
    return bool(_ORDERS.match(text) and stems(text[:_READ_CHARS]))
