"""What a prompt's inputs are to each other: a question, material, a draft to judge, a reference."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from llm.offline.material import SHORT_STATEMENT, parted, records, sources
from llm.offline.prompt import Prompt
from llm.offline.ranking import GENERAL, Index, Ranked, index, rank
from llm.offline.roles import AGENT, asks, role_of
from llm.offline.sentences import Sentence, Source, least_length, sentences
from llm.offline.turns import RESULTS
from llm.offline.words import stems, word_count

_BEST = 5
_SAYS_NOTHING = ("", "Completed.")
_ACTED = ("tools", "tool_calls", RESULTS)
_OBSERVATION = re.compile(r"^\[\[ ## observation_\d+ ## \]\]\n((?:(?!\[\[ ## )[^\n]*\n?)*)", re.MULTILINE)
_SHORT_QUESTION = 60  # words; a longer one brings its own material
_SHORT_CHARS = 2_000


@dataclass
class Reading:
    """A prompt, understood: computed once and shared by everything that fills its fields.

    Args:
        prompt: what was read.
        reasons: what was done so far, in true sentences; they become the `reasoning` of the answer.
        notes: decisions that later fields of the same answer need: the last `choice`, the next `tool`.
        used: the sentences that the answer rests on so far.
    """

    prompt: Prompt
    reasons: list[str] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    used: list[Ranked] = field(default_factory=list)
    _indexes: dict[str, Index] = field(default_factory=dict)
    _ranked: dict[tuple[str, str], list[Ranked]] = field(default_factory=dict)

    @cached_property
    def roles(self) -> dict[str, str]:
        """The role of each input by name: question, material, draft, reference or aside."""
        roles = {name: role_of(name) for name in self.prompt.inputs}
        given = [name for name, text in self.prompt.inputs.items() if text.strip()]
        if "question" not in roles.values() and "material" in roles.values():
            asking = [name for name in given if roles[name] == "material" and asks(self.prompt.inputs[name])]
            if asking and len(given) > 1:
                roles[min(asking, key=lambda name: len(self.prompt.inputs[name]))] = "question"
        return roles

    @cached_property
    def question(self) -> str:
        """What is asked, or nothing when the inputs ask nothing.

        An agent that goes on is asked what it was asked when it began.
        """
        asked = self._split[0]
        if asked.strip() in {"", "None"} and "tools" in self.prompt.inputs:
            begun = [
                text
                for turn in self.prompt.history
                for name, text in turn.given.items()
                if name not in _ACTED
            ]
            return next((text for text in begun if asks(text)), begun[0] if begun else "")
        return asked

    @cached_property
    def only_message(self) -> bool:
        """Whether all that there is to read is what the person says now."""
        return {source.origin for source in self.material} == {"message"}

    @cached_property
    def is_about_all(self) -> bool:
        """Whether the question only asks for the material as a whole (`Summarize the main points`)."""
        return GENERAL.issuperset(stems(self.question))

    @cached_property
    def material(self) -> list[Source]:
        """What the answer should rest on, without what was said earlier in the conversation."""
        found = list(sources("message", self._split[1])) if self._split[1] else []
        for name, text in self.prompt.inputs.items():
            if self.roles[name] == "material":
                found += sources(name, text)
        return found + self.observed

    @cached_property
    def observed(self) -> list[Source]:
        """What tools returned."""
        trajectory = self.prompt.inputs.get("trajectory", "")
        seen = [text.strip() for text in _OBSERVATION.findall(trajectory)]
        found = [
            Source("observation", f"observation {i}", text)
            for i, text in enumerate(seen)
            if text not in _SAYS_NOTHING
        ]
        for turn in self.prompt.history:
            found += sources(RESULTS, turn.given.get(RESULTS, ""))
        return found

    @cached_property
    def said(self) -> list[Source]:
        """What the person said earlier in the conversation, the newest first, and what an agent was told."""
        turns: list[dict[str, Any]] = [turn.given for turn in reversed(self.prompt.history)]
        for name in ("history", "conversation"):
            turns += reversed(records(self.prompt.inputs.get(name, "")))
        found = [
            source
            for turn in turns
            for name, text in turn.items()
            if isinstance(text, str) and name not in _ACTED and role_of(name) in {"question", "material"}
            for source in sources(name, text, "the conversation")
        ]
        # The facts in them are known like something said before.
        return [*found, *sources(AGENT, self.prompt.inputs.get(AGENT, ""), "the instructions")]

    @cached_property
    def draft(self) -> str:
        """A text among the inputs that is to be judged or revised; empty when there is none."""
        return self.of_role("draft")

    @cached_property
    def reference(self) -> str:
        """A text among the inputs that is known to be right; empty when there is none."""
        return self.of_role("reference")

    @cached_property
    def sentences(self) -> list[Sentence]:
        """All sentences of the material; in very long material short ones are joined."""
        least = least_length(sum(len(source.text) for source in self.material))
        return [sentence for source in self.material for sentence in sentences(source, least)]

    @cached_property
    def everything(self) -> str:
        """All current inputs in one text, for looking up labelled values, numbers and dates."""
        return "\n".join(
            self.prompt.inputs[name] for name in self.prompt.inputs if self.roles[name] != "aside"
        )

    @cached_property
    def nearby(self) -> str:
        """All current inputs, the sentences that speak of the question first: to look for single values."""
        best = self.ranked(self.question)[:_BEST] if self.question else []
        return "\n".join([*(one.sentence.text for one in best if one.shared), self.everything])

    def ranked(self, query: str, hint: str = "") -> list[Ranked]:
        """Return the material's sentences, the most telling for a query first."""
        if (query, hint) not in self._ranked:
            if query not in self._indexes:
                self._indexes[query] = index(self.sentences, query)
            self._ranked[query, hint] = rank(self._indexes[query], hint)
        return self._ranked[query, hint]

    @cached_property
    def remembered(self) -> list[Ranked]:
        """What was said earlier that speaks of the question, the most telling first; questions left out."""
        facts = [one for source in self.said for one in sentences(source) if not asks(one.text)]
        return rank(index(facts, self.question))

    def of_role(self, role: str) -> str:
        """Return the inputs of one role in one text."""
        return "\n".join(text for name, text in self.prompt.inputs.items() if self.roles[name] == role)

    @cached_property
    def _split(self) -> tuple[str, str]:
        """The question, and the material that came in the same input with it."""
        asked = self.of_role("question")
        material = [name for name, role in self.roles.items() if role == "material"]
        if not asked:
            text = self.prompt.inputs[material[0]] if len(material) == 1 else ""
            return (text, "") if asks(text) and word_count(text) <= _SHORT_QUESTION else ("", "")
        if material and len(asked) <= _SHORT_CHARS and word_count(asked) <= _SHORT_QUESTION:
            return asked, ""
        if not material and not asks(asked):
            return (asked, "") if word_count(asked) <= SHORT_STATEMENT else ("", asked)
        return parted(asked)
