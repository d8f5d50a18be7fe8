"""Who is asked for one request, and in which order: a role's route applied to what the request is like."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from contracts.calls import CallRequest
from llm.language import language_of
from llm.providers import OFFLINE, Choice, Providers, Rule
from runtime.errors import BadInput

if TYPE_CHECKING:
    from dspy.lm15 import Request

# Of English prose; other scripts have fewer, so a rule by size errs to the side of caution there.
CHARS_PER_TOKEN = 4
_DRAW = random.SystemRandom()
# What DSPy's adapters write around people's words, always in English.
_SCAFFOLD = re.compile(
    r"\[\[ ## .*? ## \]\]|^(?:Respond with|Outputs will|In adhering|Must parse).*$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The deployment that a program's version was made for.

    Args:
        deployment: its name in providers.yaml; a role's route answers where it is not enabled.
        alone: nobody stands in for it, so that what is measured is its own.
    """

    deployment: str
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Hints:
    """What is known of a call besides its request.

    Args:
        task: the step's name, e.g. `answer_message`; none outside a step.
        draw: a number in [0, 1) that decides by weight; the same for a call that is made again.
        fingerprint: of the request with its role; none outside a step.
        n: how many equal calls came before it in its step.
        owner: whose the run is.
        program: the version of the program that asks; none where none does.
        wanted: the deployment that it is asked of first.
    """

    task: str | None = None
    draw: float | None = None
    fingerprint: str | None = None
    n: int = 0
    owner: str | None = None
    program: str | None = None
    wanted: Wanted | None = None


def hints_for(
    call: CallRequest, owner: str | None = None, program: str | None = None, wanted: Wanted | None = None
) -> Hints:
    """Return the hints of a journaled call."""
    return Hints(
        task=call.step.partition("#")[0].partition("[")[0],
        draw=int(call.fingerprint[:13], 16) / 16**13,
        fingerprint=call.fingerprint,
        n=call.n,
        owner=owner,
        program=program,
        wanted=wanted,
    )


class Traits:
    """What rules ask about a request, found out at the first question."""

    def __init__(self, request: "Request", hints: Hints) -> None:
        self._request = request
        self.hints = hints

    @cached_property
    def text(self) -> str:
        """What is asked last, without instructions: those are English, whatever language people ask in."""
        asked = [one for one in self._request.messages if one.role == "user"]
        return _SCAFFOLD.sub("", "\n".join(_texts(asked[-1].parts))) if asked else ""

    @cached_property
    def tokens(self) -> int:
        """A rough count of the whole input."""
        request = self._request
        written = [*_texts(request.system), *(text for one in request.messages for text in _texts(one.parts))]
        return sum(len(text) for text in written) // CHARS_PER_TOKEN

    @cached_property
    def language(self) -> str | None:
        """Two letters; none when it cannot be told."""
        return language_of(self.text)


def order_of(providers: Providers, role: str, request: "Request", hints: Hints) -> tuple[str, ...]:
    """Return the enabled deployments in the order in which this request asks them; may be empty."""
    enabled, wanted = providers.enabled(), hints.wanted
    first = (wanted.deployment,) if wanted is not None and wanted.deployment in enabled else ()
    if wanted is not None and wanted.alone:
        return first
    route = providers.route(role)
    chosen: Choice = route
    if route.when:
        traits = Traits(request, hints)
        chosen = next((rule for rule in route.when if _holds(rule, traits)), route)
    names = drawn(chosen.weights, hints.draw) if chosen.weights else chosen.ask
    return tuple(dict.fromkeys((*first, *(name for name in names if name in enabled))))


def chain_of(providers: Providers, role: str, wanted: Wanted | None = None) -> tuple[str, ...]:
    """Return all deployments that may answer a role's requests for the wanted deployment.

    Raises:
        BadInput: `unknown_deployment`, it is wanted alone and is not enabled.
    """
    chain = providers.chain(role)
    if wanted is None:
        return chain
    enabled = providers.enabled()
    there = wanted.deployment == OFFLINE or wanted.deployment in enabled
    if wanted.alone and not there:
        listed = ", ".join([*enabled, OFFLINE])
        raise BadInput(
            f"No enabled deployment is called {wanted.deployment!r}; there are {listed}.",
            "unknown_deployment",
        )
    if wanted.alone:
        return (wanted.deployment,)
    return tuple(dict.fromkeys((wanted.deployment, *chain))) if there else chain


def drawn(weights: dict[str, int], draw: float | None) -> tuple[str, ...]:
    """Return the names with the one that is drawn in front and the others behind it, the heaviest first.

    Args:
        weights: name -> its weight.
        draw: in [0, 1); chance when not given.
    """
    left = (_DRAW.random() if draw is None else draw) * sum(weights.values())
    first = next(iter(weights))
    for name, weight in weights.items():
        first, left = name, left - weight
        if left < 0:
            break
    others = sorted((name for name in weights if name != first), key=lambda name: -weights[name])
    return (first, *others)


def _holds(rule: Rule, traits: Traits) -> bool:
    if rule.task and traits.hints.task not in rule.task:
        return False
    if rule.longer_than is not None and traits.tokens <= rule.longer_than:
        return False
    if rule.shorter_than is not None and traits.tokens >= rule.shorter_than:
        return False
    return not rule.language or traits.language in rule.language


def _texts(parts: object) -> Iterator[str]:
    """Yield the texts among the parts of a message or of the system's text."""
    if isinstance(parts, str):
        yield parts
    elif isinstance(parts, list | tuple):
        for part in parts:
            text = part if isinstance(part, str) else getattr(part, "text", None)
            if isinstance(text, str):
                yield text
