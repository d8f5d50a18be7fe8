"""What the offline model says about itself, and to what it was told without being asked."""

import re

from llm.offline.fields import Found
from llm.offline.words import stems, word_count

SELF = "I am Millrace's offline model: a deterministic learner without weights, not a language model"
ABILITY = (
    f"{SELF}. I sort messages by examples, quote the most telling sentences of a text, "
    "answer from the material and the conversation in the prompt, and fill typed fields."
)
_GREETING = re.compile(
    r"^\s*(?:hi|hello|hey|hallo|moin|bonjour|good (?:morning|day|evening))\b", re.IGNORECASE
)
_THANKS = re.compile(r"^\s*(?:thanks|thank you|thx|danke|merci)\b", re.IGNORECASE)
_ABOUT_ME = re.compile(
    r"\b(?:who|what) are you\b|\bwhat can you do\b|\b(?:which|what) (?:\w+ )?model\b"
    r"|\bare you (?:an?|the) \w+|^\s*help\W*$|\bhow can you help\b",
    re.IGNORECASE,
)
_OWN = re.compile(r"\b(?:my|i|i'm|we|our)\b", re.IGNORECASE)
_SMALL_TALK_WORDS = 8
_NOTED_CHARS = 300
_SWAPPED = {
    "i": "you", "i'm": "you're", "i've": "you've", "i'll": "you'll", "i'd": "you'd", "me": "you",
    "my": "your", "mine": "yours", "myself": "yourself", "am": "are", "we": "you", "our": "your",
    "ours": "yours", "us": "you",
}  # fmt: skip


def courtesy(message: str) -> Found | None:
    """Return an answer to thanks or a greeting; none to a message that says more."""
    if word_count(message) > _SMALL_TALK_WORDS:
        return None
    if _THANKS.search(message):
        return Found("You are welcome.", "The message says thanks.")
    if _GREETING.search(message) and not stems(_GREETING.sub("", message, count=1)):
        return Found(f"Hello. {ABILITY}", "The message is a greeting.")
    return None


def asks_about_me(message: str) -> bool:
    """Whether a message asks who or what answers."""
    return bool(_ABOUT_ME.search(message))


def tells_of_oneself(message: str) -> bool:
    """Whether a message says something about the person who speaks."""
    return bool(_OWN.search(message))


def noted(message: str) -> Found:
    """Confirm what a person said about themselves. The conversation keeps it; this model keeps nothing."""
    turned = turned_round(message[:_NOTED_CHARS])
    return Found(f"Noted: {turned[:1].lower()}{turned[1:]}", "The message states something and asks nothing.")


def turned_round(said: str) -> str:
    """Turn what the person said about themselves round, from `my name is Ada` to `Your name is Ada.`."""
    turned = re.sub(
        r"[A-Za-z]+(?:['\u2019][a-z]+)?",
        lambda match: _SWAPPED.get(match[0].lower().replace("\u2019", "'"), match[0]),
        " ".join(said.split()),
    )
    turned = re.sub(r"\byou was\b", "you were", turned)
    return ended(turned[:1].upper() + turned[1:])


def ended(text: str) -> str:
    """Return a text that ends like a sentence."""
    return text if text.endswith((".", "!", "?", "\u3002", "\u201d", '"')) else f"{text.rstrip(':;,')}."
