"""Who takes part in a race of optimizers, as its events tell them apart."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.optimization import Optimizer


@dataclass(frozen=True, slots=True)
class Racer:
    """One optimizer of a race. `place` is its place in the parameters, from 1; `name` no other racer has."""

    place: int
    optimizer: str
    name: str

    def told(self) -> dict[str, object]:
        """Return what an event tells of whom it is about."""
        return {"place": self.place, "racer": self.name, "optimizer": self.optimizer}


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
