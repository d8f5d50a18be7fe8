"""What a chaos run does: data, made from a seed before anything starts, so that it can be done again."""

import random
from dataclasses import dataclass, replace
from typing import Literal

Trouble = Literal[
    "kill worker",
    "kill api",
    "kill prefect",
    "kill mariadb",
    "freeze worker",
    "outages",
    "storm",
    "duplicates",
]
Mutation = Literal["no fence", "no run key", "no call key"]
EVERYTHING: tuple[Trouble, ...] = (
    *("kill worker", "kill api", "kill worker", "kill prefect", "kill worker", "kill mariadb"),
    *("freeze worker", "outages", "outages", "storm", "storm", "duplicates"),
)


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker of the stack. Those of one machine share a state folder and so see each other die.

    On the machine `lost` there is nobody else, and a new start is a new machine: only leases tell of a death.
    """

    pool: str
    machine: str

    @property
    def name(self) -> str:
        """For its log, and for people."""
        return f"worker-{self.pool}-{self.machine}"


@dataclass(frozen=True, slots=True)
class Plan:
    """One chaos run.

    Args:
        seed: of every random choice; the same seed makes the same timeline.
        seconds: how long new trouble begins; what it began may last longer.
        gap: seconds between two troubles, from and to.
        lease_seconds: of the workers.
        workers: which there are.
        clients: how many ask for runs at once, each one run at a time.
        deck: the troubles; all of them come once before one comes again.
        mutation: what is taken away, so that the run must fail.
        successes: how many runs must succeed, at least.
        at_once: how many triggers with one key come at the same moment.
        settle_seconds: how long everything may take to end after the last trouble.
        ask_prefect: wait for Prefect's own states too, which are straightened within a minute.
        pace: how many times slower than on a quick machine; it is in `gap` already.
    """

    seed: int
    seconds: float
    gap: tuple[float, float]
    lease_seconds: float
    workers: tuple[Worker, ...]
    clients: int
    successes: int
    deck: tuple[Trouble, ...] = EVERYTHING
    mutation: Mutation | None = None
    at_once: int = 50
    settle_seconds: float = 300
    ask_prefect: bool = False
    pace: float = 1

    def timeline(self) -> list[tuple[float, Trouble, random.Random]]:
        """Return when which trouble begins (seconds from the start), each with chance of its own."""
        chance = random.Random(self.seed)
        at, found, cards = 0.0, [], list[Trouble]()
        while True:
            if not cards:
                cards = random.Random(chance.random()).sample(self.deck, len(self.deck))
            at += chance.uniform(*self.gap)
            if at > self.seconds:
                return found
            found.append((at, cards.pop(), random.Random(chance.random())))


def long_form(seed: int, seconds: float, pace: float = 1) -> Plan:
    """Return what `make chaos` does: minutes of everything, with the leases that people have.

    With a larger `pace` there is so many times as long between two troubles, for machines on which what was
    killed takes longer to start than it then lives. As many runs must succeed at any pace.
    """
    return Plan(
        seed=seed,
        seconds=seconds,
        gap=(1.0 * pace, 4.5 * pace),
        lease_seconds=15,
        workers=(
            *(Worker("interactive", "shared"), Worker("interactive", "lost")),
            *(Worker("batch", "shared"), Worker("batch", "lost")),
        ),
        clients=12,
        successes=round(seconds * 5 / 12),
        ask_prefect=True,
        pace=pace,
    )


def short_form(seed: int) -> Plan:
    """Return what `make test` does: each trouble once, in half a minute."""
    return Plan(
        seed=seed,
        seconds=24,
        gap=(1.5, 2.5),
        # Long enough for workers that a busy machine starves: each lost lease is an attempt of three.
        lease_seconds=10,
        workers=(Worker("interactive", "shared"), Worker("interactive", "lost"), Worker("batch", "shared")),
        clients=8,
        successes=10,
        deck=(
            *("kill worker", "kill mariadb", "freeze worker", "kill api", "outages"),
            *("kill prefect", "storm", "duplicates"),
        ),
    )


def mutated(mutation: Mutation, seed: int) -> Plan:
    """Return a run whose one kind of trouble must show that something is missing, as short as it can be."""
    decks: dict[Mutation, tuple[Trouble, ...]] = {
        "no fence": ("freeze worker",),
        "no run key": ("duplicates",),
        "no call key": ("kill worker",),
    }
    # Two of one machine: the other sees a death at once, so that leases may outlast a starved process.
    two = (Worker("interactive", "shared"), Worker("interactive", "shared"))
    everywhere = Plan(
        seed=seed,
        seconds=9,
        gap=(2.0, 4.0),
        lease_seconds=60,
        workers=two,
        clients=4,
        successes=1,
        deck=decks[mutation],
        mutation=mutation,
    )
    if mutation == "no fence":
        # Once: while both sleep, nobody takes over what the other will then end a second time.
        asleep = replace(everywhere, seconds=3, gap=(2.0, 3.0), lease_seconds=5)
        return replace(asleep, workers=(two[0], Worker("interactive", "lost")))
    if mutation == "no run key":
        # Each trigger makes a run of its own there: once, and few, are enough.
        return replace(everywhere, seconds=1.5, gap=(1.0, 1.2), workers=two[:1], clients=1, at_once=10)
    return everywhere
