"""Who takes part in a race of optimizers, and what each came to, as events tell it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from contracts.optimization import Optimizer
from contracts.runs import EventKind
from database.queue.events import events_of_kind
from flows.durable.run import current_run


@dataclass(frozen=True, slots=True)
class Racer:
    """One optimizer of a race. `place` is its place in the parameters, from 1; `name` no other racer has."""

    place: int
    optimizer: str | None
    name: str

    @property
    def key(self) -> str:
        """What its step and its answers are recorded under, the same in every attempt."""
        return f"{self.place}.{self.optimizer}"

    def told(self) -> dict[str, object]:
        """Return what an event tells of whom it is about."""
        return {"place": self.place, "racer": self.name, "optimizer": self.optimizer}


# What the race is run against.
BASE = Racer(0, None, "as it was")


def racers(optimizers: Sequence[Optimizer]) -> list[Racer]:
    """Return who races, in their order; the second `gepa` is named `gepa (2)`."""
    seen: Counter[str] = Counter()
    found = []
    for place, choice in enumerate(optimizers, 1):
        seen[choice.name] += 1
        nth = seen[choice.name]
        name = choice.name if nth == 1 else f"{choice.name} ({nth})"
        found.append(Racer(place, choice.name, name))
    return found


async def tell_score(racer: Racer, score: float | None, examples: int, calls: int, usd: Decimal) -> None:
    """Tell what a racer scores on the validation split, unless an earlier attempt has told the same.

    Args:
        racer: whose program was measured.
        score: its mean, 0 to 1; none was not measured and is not told.
        examples: how many were measured.
        calls: model calls that it took to make the program, without those of the measuring.
        usd: what they did cost.
    """
    if score is None:
        return
    data: dict[str, object] = {
        **racer.told(),
        "score": round(score, 4),
        "examples": examples,
        "calls": calls,
        "usd": format(usd, "f"),
    }
    run = current_run()
    before = await run.read(events_of_kind, run.id, EventKind.SCORE) if run.resumed else []
    if [one.data for one in before if one.data["place"] == racer.place][-1:] != [data]:
        run.tell(EventKind.SCORE, **data)
