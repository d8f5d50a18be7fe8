"""Instructions, rules and advice for programs, derived from the examples that an optimizer shows."""

import re
from statistics import median

from llm.offline.examples import Pair, pairs
from llm.offline.fields import Found
from llm.offline.lessons import LESSON, are_labels, label_words, lines, merged, told_before
from llm.offline.reading import Reading
from llm.offline.words import bag, listed, spoken, word_count

_PROPOSALS = bag("instruction instructions rules advice observations guidelines prompt prefix")
# Inputs that only optimizers give; without one, "advice" is asked for by somebody who wants some.
_SHOWN = bag("instruction instructions example examples demos observations module modules metadata")
_READ_CHARS = 400_000
_HEADING = "The options and the words that tell them:"
_METHODS = (
    "Read the whole input before you decide.",
    "Compare the input with every option and take the one that fits best.",
    "Rest on what the input says and add nothing to it.",
    "Prefer the most specific option that fits.",
    "Decide by the wish behind the words, not by single words.",
)
# The tips of MIPROv2 (dspy/propose/grounded_proposer.py) and how many telling words a label then gets.
_WORDS = {"concise": 5, "clear": 5, "informative": 14, "creative": 10, "stakes": 8, "persona": 8}
_USUAL_WORDS = 8
_KEPT_WORDS = 24
_SHORT_ANSWER = 8


def proposes(name: str, reading: Reading) -> bool:
    """Whether a field asks for an instruction, or sums up what is known of examples."""
    inputs = reading.prompt.inputs
    shown = {word for given in inputs for word in spoken(given).split()}
    if shown & _SHOWN and set(spoken(name).split()) & _PROPOSALS:
        return True
    return "observations" in inputs and bool(told_before(inputs.values()))


def write(name: str, reading: Reading) -> Found:
    """Write what a field asks for: observations about examples, or an instruction with what they teach."""
    words = set(spoken(name).split())
    if "prefix" in words:
        return Found("Answer:", "A plain beginning for the last field.")
    return observations(reading) if words & {"observations", "summary"} else instruction(reading)


def instruction(reading: Reading) -> Found:
    """Write an instruction: the best one known, with what the examples teach."""
    inputs = {key: text[:_READ_CHARS] for key, text in reading.prompt.inputs.items()}
    limit = _limit(inputs)
    if limit is not None:
        text = _within(_base(inputs), limit)
        return Found(text, f"Kept what fits into {limit} characters.")
    tip = inputs.get("tip", "").lower()
    most = next((n for word, n in _WORDS.items() if word in tip), _USUAL_WORDS if tip else _KEPT_WORDS)
    shown = pairs(inputs)
    told = merged(told_before(inputs.values()), _labels(shown, most), most)
    base = LESSON.sub("", _base(inputs)).replace(_HEADING, "").strip()
    parts = [base, _method(shown, told, base, tip)]
    if told:
        parts.append(f"{_HEADING}\n{lines(told)}")
    reason = f"Read {len(shown)} examples" + (f" of {listed(told)}." if told else ".")
    return Found("\n".join(part for part in parts if part), reason)


def observations(reading: Reading) -> Found:
    """Describe what examples have in common: their labels with telling words, or how long answers are."""
    inputs = {key: text[:_READ_CHARS] for key, text in reading.prompt.inputs.items()}
    shown = pairs(inputs)
    told = merged(told_before(inputs.values()), _labels(shown, _USUAL_WORDS), _KEPT_WORDS)
    if told:
        text = f"Each input belongs to one of {listed(told)}. {_HEADING}\n{lines(told)}\n"
    elif shown:
        text = f"The examples give a text and want an answer. {_answer_length(shown)}"
    else:
        text = "The inputs hold no example that could be read."
    return Found(text, f"Read {len(shown)} examples.")


def advice(name: str, reading: Reading) -> str:
    """Write advice for one module of a program: which words of the example go with what is right."""
    inputs = {key: text[:_READ_CHARS] for key, text in reading.prompt.inputs.items()}
    told = label_words(pairs(inputs), _USUAL_WORDS)
    if told:
        return f"For {spoken(name)}, inputs with words like these go with:\n{lines(told)}"
    return "N/A"


def _labels(shown: list[Pair], most: int) -> dict[str, list[str]]:
    return label_words(shown, most) if are_labels(shown) else {}


def _method(shown: list[Pair], told: dict[str, list[str]], base: str, tip: str) -> str:
    """Return a way of working that the instruction does not name yet; which one depends on the prompt."""
    if not told and shown:
        return _answer_length(shown)
    if "persona" in tip and "You are" not in base:
        return f"You are careful and know {listed(told) if told else 'this task'} well."
    if "stakes" in tip:
        return "A wrong answer is costly, so check the choice once more before you answer."
    unused = [method for method in _METHODS if method not in base]
    return unused[(len(shown) + len(base)) % len(unused)] if unused else ""


def _answer_length(shown: list[Pair]) -> str:
    words = int(median(word_count(right) for _, right in shown))
    if words <= _SHORT_ANSWER:
        return f"Answer in at most {max(1, words)} words, taken from the material."
    return f"Answer in about {max(1, round(words / 18))} sentences, taken from the material."


def _base(inputs: dict[str, str]) -> str:
    """Return the instruction to start from: the best of the attempts, or the one that is given."""
    attempts = inputs.get("attempted_instructions", "")
    scored = re.findall(
        r"Instruction #\d+: (.*?)\W+Prefix #\d+:.*?Resulting Score #\d+: (-?[\d.]+)", attempts, re.DOTALL
    )
    if scored:
        return str(max(scored, key=lambda one: float(one[1].rstrip(".")))[0]).replace("\\n", "\n")
    names = [
        name
        for name in inputs
        if "instruction" in name and "previous" not in name and "additional" not in name
    ]
    return inputs[names[0]].strip() if names else ""


def _limit(inputs: dict[str, str]) -> int | None:
    found = re.search(r"(\d[\d,]*) (?:unicode )?char", inputs.get("length_limit", ""), re.IGNORECASE)
    return int(found[1].replace(",", "")) if found and "current_instruction" not in inputs else None


def _within(text: str, limit: int) -> str:
    kept = ""
    for line in text.splitlines(keepends=True):
        if len(kept) + len(line) > limit:
            break
        kept += line
    return kept.strip() or text[:limit].strip()
