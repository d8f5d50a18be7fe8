"""The most that a call can cost, before it is made: what a budget sets aside for it.

An upper bound, not a guess: every tokenizer in use makes at most one token of a byte, an answer ends at its
limit, and the dearest rate that the deployment has is taken. It is several times what the call will cost;
the difference comes back when the answer is there.
"""

import json
import re
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import TYPE_CHECKING, Any

from llm.prices import SMALLEST_RATE
from runtime.errors import BadInput, MillraceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dspy.lm15 import Request

_SMALLEST = Decimal("1e-10")
# What providers put around messages and tools; the largest that is documented is Anthropic's for tools, 530:
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
_AROUND_TOKENS = 64
_TOOLS_TOKENS = 1_000
# Parts whose tokens nobody can count from their bytes: a picture's address is short.
_MEDIA = frozenset({"image", "audio", "video", "document", "binary"})


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What bounds the price of a deployment's calls; none where nobody knows.

    Args:
        input_usd: dearest rate for a token of the prompt, in US dollars (long inputs, cache writes).
        output_usd: dearest rate for a token of the answer.
        max_input: longest prompt that the model takes, in tokens.
        max_output: longest answer that it gives to a request without a limit of its own, in tokens.
    """

    input_usd: Decimal | None = None
    output_usd: Decimal | None = None
    max_input: int | None = None
    max_output: int | None = None


def rates(entry: dict[str, Any]) -> tuple[Decimal | None, Decimal | None]:
    """Return the dearest rates for input and output in an entry of LiteLLM's map.

    Rates of other ways to ask (batches, flex, priority) are not meant.
    """
    tiers = entry.get("tiered_pricing")
    entries = [entry, *(tiers if isinstance(tiers, list) else [])]
    return (
        _dearest(entries, ("input_cost_per_token", "cache_creation_input_token_cost")),
        _dearest(entries, ("output_cost_per_token", "output_cost_per_reasoning_token")),
    )


def most(request: "Request", ceilings: "dict[str, Ceiling]") -> Decimal | MillraceError:
    """Return the most that a request can cost in US dollars at any of these deployments.

    Args:
        request: what will be asked.
        ceilings: by the name of each deployment that may answer.

    Returns:
        The sum, rounded up to the ledger's ten decimals; or why nobody can say (`price_unknown`,
        `unbounded_tokens`), to be raised where it matters.
    """
    free = all(each.input_usd == 0 and each.output_usd == 0 for each in ceilings.values())
    if free:
        return Decimal(0)
    prompt = None if _has_media(request) else prompt_tokens(request)
    sums: list[Decimal] = []
    for name, each in ceilings.items():
        found = _at_one(name, each, prompt, request.config.max_tokens)
        if isinstance(found, MillraceError):
            return found
        sums.append(found)
    return max(sums).quantize(_SMALLEST, rounding=ROUND_UP)


def prompt_tokens(request: "Request") -> int:
    """Return how many tokens a prompt of text has at most: one for each byte, and what is put around it."""
    from dspy._vendor.lm15.serde import request_to_dict

    asked: dict[str, Any] = request_to_dict(request)
    # The signs of JSON stand for what a provider's template puts between the messages.
    size = len(json.dumps(asked, ensure_ascii=False).encode(errors="replace"))
    return size + _AROUND_TOKENS + (_TOOLS_TOKENS if asked.get("tools") else 0)


def most_for_text(text: str, name: str, ceiling: "Ceiling") -> Decimal | MillraceError:
    """Return the most that the vector of a text can cost in US dollars, as `most` does for an answer."""
    found = _at_one(name, ceiling, len(text.encode(errors="replace")) + _AROUND_TOKENS, 0)
    return found if isinstance(found, MillraceError) else found.quantize(_SMALLEST, rounding=ROUND_UP)


def _at_one(name: str, ceiling: Ceiling, prompt: int | None, limit: int | None) -> Decimal | MillraceError:
    if ceiling.input_usd is None or ceiling.output_usd is None:
        return BadInput(
            f"the price of deployment `{name}` is not known, and a budget applies: add a `cost` to it in"
            " providers.yaml, or remove the budget",
            code="price_unknown",
        )
    longest = [tokens for tokens in (prompt, ceiling.max_input) if tokens is not None]
    answer = ceiling.max_output if limit is None else limit
    if not longest or answer is None:
        why, remedy = (
            ("its answer has no limit", "add `max_tokens` to it or `unbounded_tokens` to the policies")
            if answer is None
            else ("the prompt holds media", "use a model whose longest input LiteLLM knows")
        )
        return BadInput(
            f"nobody can say what a call of deployment `{name}` costs at most, because {why}, and a budget"
            f" applies: {remedy} in providers.yaml, or remove the budget",
            code="unbounded_tokens",
        )
    return min(longest) * ceiling.input_usd + answer * ceiling.output_usd


def _has_media(request: "Request") -> bool:
    system = request.system if isinstance(request.system, tuple) else ()
    return _any_media([*system, *(part for message in request.messages for part in message.parts)])


def _any_media(parts: "Iterable[Any]") -> bool:
    return any(
        part.type in _MEDIA or (part.type == "tool_result" and _any_media(part.content)) for part in parts
    )


def _dearest(entries: list[dict[str, Any]], names: tuple[str, ...]) -> Decimal | None:
    # The same name goes on for long inputs and long caching: `..._above_200k_tokens`, `..._above_1hr`.
    known = re.compile(rf"({'|'.join(names)})(_above_\d+[a-z]+(_tokens)?)*")
    found = [
        Decimal(repr(value)).quantize(SMALLEST_RATE)
        for entry in entries
        for key, value in entry.items()
        if isinstance(value, int | float) and known.fullmatch(key)
    ]
    return max(found, default=None)
