"""A place in an answer that needs a value, and what its name says about the kind of value."""

from dataclasses import dataclass, field, replace

from llm.offline.fields import Schema
from llm.offline.ranking import Ranked
from llm.offline.words import spoken

_KINDS = {
    "reason": "reasoning rationale thought thinking explanation discussion justification because why",
    "quote": "quote quotes evidence span excerpt snippet citation verbatim passage",
    "source": "document source section file filename",
    "problem": "problem problems issue issues error errors mistake mistakes weakness weaknesses flaws",
    "gap": "gap gaps missing unknown unknowns unanswered open",
    "conflict": "disagreement disagreements contradiction contradictions conflict conflicts inconsistencies",
    "question": "asked question questions request wish",
    "terms": "query queries keyword keywords tags tag terms topics entities title headline subject search",
    "score": "score grade rating confidence relevance probability precision recall groundedness "
    "completeness faithfulness quality support certainty likelihood similarity correctness accuracy "
    "importance stars reward",
    "start": "start begin offset from",
    "end": "end stop until",
    "label": "label category class intent topic sentiment type priority route queue department severity "
    "status language kind tone emotion urgency",
    "summary": "summary abstract overview gist synopsis recap tldr",
}
_KIND_OF = {word: kind for kind, words in _KINDS.items() for word in words.split()}
_DEEPEST = 8  # levels of nesting; models that hold themselves end here


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one value.

    Args:
        name: the field's or property's name.
        schema: the value's JSON Schema.
        about: what the prompt says of it.
        path: where it stands in the answer; empty inside lists, which demos cannot teach by place.
        focus: the sentence that the object around it is about.
        defs: the schema's definitions.
        depth: how many objects and lists are around it.
        type_name: the type of a whole field as the prompt spells it.
    """

    name: str
    schema: Schema
    about: str = ""
    path: tuple[str, ...] = ()
    focus: Ranked | None = None
    defs: Schema = field(default_factory=dict)
    depth: int = 0
    type_name: str = ""

    @property
    def kinds(self) -> frozenset[str]:
        """What the words of the name say about the value."""
        return frozenset(_KIND_OF[word] for word in spoken(self.name).split() if word in _KIND_OF)

    @property
    def wish(self) -> str:
        """Name and description as one text."""
        return f"{spoken(self.name)} {self.about}".strip()

    @property
    def too_deep(self) -> bool:
        """Whether lists and optional values must end here."""
        return self.depth >= _DEEPEST

    def resolved(self) -> "Slot":
        """Return this slot with the schema that its references lead to."""
        schema, seen = self.schema, 0
        while seen < _DEEPEST and ("$ref" in schema or len(schema.get("allOf", ())) == 1):
            part = (
                schema["allOf"][0]
                if "allOf" in schema
                else self.defs.get(schema["$ref"].rpartition("/")[2], {})
            )
            schema = {**part, **{key: value for key, value in schema.items() if key not in {"$ref", "allOf"}}}
            seen += 1
        return replace(self, schema=schema)

    def within(self, name: str, schema: Schema, *, in_list: bool = False) -> "Slot":
        """Return the slot of a property of this one, or of its items."""
        about = str(schema.get("description", "")) or ("" if not in_list else self.about)
        path = () if in_list or not self.path else (*self.path, name)
        return Slot(name, schema, about, path, self.focus, self.defs, self.depth + 1)
