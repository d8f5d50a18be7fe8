"""Weights of deployments by how strong they are, as long as one is proven to be the strongest."""

import math
from collections.abc import Sequence

from contracts.bradley_terry import Games, Strengths


def weights_by_rating(
    games: Sequence[Games], deployments: Sequence[str], *, least: int, most: int, needed: float
) -> dict[str, int] | None:
    """Return a weight for each deployment; none unless the strongest is proven to be the strongest.

    The strongest gets `most`, the others in proportion to their strength, and who has not played enough
    gets `least`.

    Args:
        games: who won how often against whom.
        deployments: those that the file routes to; others are rated with them, and get no weight.
        least: the smallest weight.
        most: the largest.
        needed: games that a deployment must have played to be rated.
    """
    strengths = Strengths(games)
    played = {one.player: one.wins + one.losses + one.ties for one in strengths.ratings()}
    rated = [name for name in deployments if played.get(name, 0) >= needed]
    if len(rated) < 2:  # noqa: PLR2004  nobody to compare with
        return None
    logs = dict(zip(strengths.players, strengths.logs, strict=True))
    leader = max(rated, key=lambda name: logs[name])
    for name in rated:
        _, low, _ = strengths.lead(leader, name)
        if name != leader and low <= 0:
            return None
    found = dict.fromkeys(deployments, least)
    for name in rated:
        found[name] = min(max(round(most * math.exp(logs[name] - logs[leader])), least), most)
    return found
