"""Answers that are kept to be used again, and what that saved."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer of a model under the key of its question.

    Args:
        key: SHA-256 in hex of all that the answer depends on, its owner included.
        owner: whose it is; nobody else is ever answered by it.
        role: in whose name it was asked.
        response: the answer as the ledger has it.
        deployment: who answered.
        model: the model's name as its provider gives it.
        input_tokens: none while unknown, as `output_tokens`.
        output_tokens: as above.
        cost_usd: what it cost when it was asked, and so what each use saves; none while unknown.
        latency_ms: how long it took then.
        seconds: for how long from now it may be used.
        size: of the response, in bytes.
    """

    key: str
    owner: str
    role: str
    response: dict[str, Any]
    deployment: str
    model: str
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None
    latency_ms: float
    seconds: float
    size: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """What came of wanting to be the one that asks.

    Args:
        mine: nobody else asks.
        answer: it is there by now, and nobody has to.
    """

    mine: bool
    answer: KeptAnswer | None = None


@dataclass(frozen=True, slots=True)
class KeptQuestion:
    """A question whose answer is kept, where others that mean the same can find it.

    Args:
        key: of its answer.
        owner: whose it is.
        role: in whose name it was asked.
        scope: SHA-256 in hex of everything else that the answer depends on, who made the vector included.
        text: the question.
        vector: of unit length, as little-endian float32.
    """

    key: str
    owner: str
    role: str
    scope: str
    text: str
    vector: bytes


@dataclass(frozen=True, slots=True)
class Reuse:
    """An answer that was given, or in shadow mode would have been, to another question than its own.

    Args:
        owner: whose it is.
        role: in whose name it was asked.
        key: of the kept answer.
        question: what was asked.
        kept_question: what the answer was made for.
        kept_answer: its text.
        fresh_answer: what the model said to `question`; none where it was not asked.
        similarity: cosine of the two questions.
    """

    owner: str
    role: str
    key: str
    question: str
    kept_question: str
    kept_answer: str
    fresh_answer: str | None
    similarity: float


@dataclass(slots=True)
class CacheCounts:
    """What happened since the last time somebody asked, for one owner and role.

    `hits` are all answers that were used again; `semantic` of them for another question that means the same.
    `shadow`: what shadow mode would have answered. `guarded`: near questions that the guard told apart.
    """

    hits: int = 0
    semantic: int = 0
    shadow: int = 0
    guarded: int = 0
    misses: int = 0
    kept: int = 0
    saved_usd: Decimal = Decimal(0)
    saved_ms: float = 0.0


class CacheRole(BaseModel):
    """What the cache did for a role, in the last 30 days."""

    role: str
    hits: int = Field(description="Questions that were answered from the cache, `semantic` ones included.")
    exact: int = Field(description="Hits by the same question.")
    semantic: int = Field(description="Hits by another question that means the same.")
    shadow: int = Field(description="Questions that shadow mode would have answered; they were asked.")
    guarded: int = Field(
        description="In shadow mode: questions that a similarity alone would have answered, the guard not."
    )
    misses: int = Field(description="Questions that could have been, and were asked.")
    hit_rate: float | None = Field(description="Hits by both; null without any.")
    saved_usd: Decimal = Field(description="What the hits would have cost, as far as it is known.")
    saved_seconds: float = Field(description="How long the answers took when they were made.")
    wrong: int = Field(description="Wrong answers found, by people and by the judge; they were removed.")
    reviewed: int = Field(description="Uses that the judge looked at, shadow ones included.")
    disagreed: int = Field(description="Of those, the ones where it found the answer wrong.")
    disagreement: float | None = Field(description="The share of the two; null without any.")
    review_usd: Decimal = Field(description="What the judge cost.")
    pending: int = Field(description="Uses that wait for the judge.")


class CacheStatistics(BaseModel):
    """What the cache holds and saved for one owner."""

    entries: int
    questions: int = Field(description="Entries that other questions can find.")
    bytes: int
    evicted: int = Field(description="Entries that were removed for want of room, of all owners, in 30 days.")
    roles: list[CacheRole]


class Reviewed(BaseModel):
    """A use of a kept answer for another question, and what the judge said of it."""

    id: UUID
    role: str
    shadow: bool = Field(description="The kept answer was not given: shadow mode only looked.")
    question: str
    kept_question: str
    kept_answer: str
    fresh_answer: str | None = Field(description="What the model said; null where it was not asked.")
    similarity: float = Field(description="Cosine of the two questions' vectors.")
    verdict: Literal["same", "different"] | None = Field(description="Null before the judge has looked.")
    created_at: datetime
    reviewed_at: datetime | None
