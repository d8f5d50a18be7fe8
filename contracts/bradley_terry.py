"""How strong players are by who beat whom, and how sure that is: ratings for the arena.

The model is Bradley and Terry's (Biometrika 39, 1952): i beats j with probability p_i / (p_i + p_j). Its
strengths are found by the MM algorithm of Hunter (MM algorithms for generalized Bradley-Terry models, Annals
of Statistics 32, 2004), whose every step raises the likelihood. A tie counts as half a win for each.

Who has won or lost every game would have an infinite strength, and so would groups that never met. So each
player plays one virtual game against a virtual player of strength 1, and draws it (Coulom, Whole-History
Rating, 2008, has such games as its prior): all strengths are then finite and unique, also of a player who has
not played.

Intervals come from the Fisher information of the logarithms of the strengths, the virtual games included.
They assume that games are independent. Opinions on one match are not: all look at the same two answers. So
they are averaged to one game (`averaged`), which has the information of one, whatever their number. Where
opinions agree, the interval is right; the less they do, the wider it is than it need be, and never narrower.

What is rated is a strength against the mean of all: only differences mean something.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Wins and losses of each player against the virtual one: half a win and half a loss are one drawn game.
VIRTUAL = 0.5
# As chess has it: 400 points are odds of ten to one, and the mean of all players is 1000.
POINTS = 400 / math.log(10)
MEAN = 1000.0
Z = 1.959964  # of a two-sided interval of 95 %
CLOSE = 1e-10
STEPS = 10_000


@dataclass(frozen=True, slots=True)
class Games:
    """Games between two players: `ties` as well; numbers may be fractions."""

    one: str
    other: str
    wins: float = 0.0
    losses: float = 0.0
    ties: float = 0.0

    @property
    def played(self) -> float:
        """How many there were."""
        return self.wins + self.losses + self.ties


def averaged(one: str, other: str, *, wins: int, losses: int, ties: int, matches: int = 1) -> Games:
    """Return a match as one game, whatever the number of opinions on it.

    Args:
        one: a player.
        other: the one they met.
        wins: opinions that the first is better.
        losses: that the other is.
        ties: that neither is.
        matches: so many of them had these opinions each.

    Raises:
        ZeroDivisionError: nobody said anything.
    """
    each = matches / (wins + losses + ties)
    return Games(one, other, wins * each, losses * each, ties * each)


@dataclass(frozen=True, slots=True)
class Rating:
    """One player's strength in points with its 95 % interval, and the games behind it."""

    player: str
    points: float
    low: float
    high: float
    wins: float
    losses: float
    ties: float


class Strengths:
    """The strengths that games tell.

    Args:
        games: of any pairs, each pair as often as one likes.
        players: who is rated, also without a game; those of the games when not given.
    """

    def __init__(self, games: Iterable[Games], players: Iterable[str] = ()) -> None:
        known = list(games)
        self.players = sorted({*players, *(each for one in known for each in (one.one, one.other))})
        self._place = {player: place for place, player in enumerate(self.players)}
        size = len(self.players)
        self._met = [[0.0] * size for _ in range(size)]
        self.won, self.lost, self.tied = [0.0] * size, [0.0] * size, [0.0] * size
        for one in known:
            self._count(one)
        self.logs = [math.log(strength) for strength in self._climbed()]
        self._spread = _inverse(self._information())

    def ratings(self) -> list[Rating]:
        """Return all players, the strongest first."""
        size = len(self.players)
        mean = sum(self.logs) / size if size else 0.0
        found = []
        for i, player in enumerate(self.players):
            # One's own strength less the mean of all.
            weights = [(1.0 if j == i else 0.0) - 1 / size for j in range(size)]
            points, reach = MEAN + POINTS * (self.logs[i] - mean), Z * POINTS * self._deviation(weights)
            counted = (self.won[i], self.lost[i], self.tied[i])
            found.append(Rating(player, points, points - reach, points + reach, *counted))
        return sorted(found, key=lambda one: (-one.points, one.player))

    def lead(self, one: str, other: str) -> tuple[float, float, float]:
        """Return by how many points a player leads another, with the bounds of the 95 % interval."""
        i, j = self._place[one], self._place[other]
        weights = [0.0] * len(self.players)
        weights[i], weights[j] = 1.0, -1.0
        value, reach = POINTS * (self.logs[i] - self.logs[j]), Z * POINTS * self._deviation(weights)
        return value, value - reach, value + reach

    def _count(self, games: Games) -> None:
        i, j = self._place[games.one], self._place[games.other]
        if i == j:
            return
        self._met[i][j] += games.played
        self._met[j][i] += games.played
        for place, wins, losses in ((i, games.wins, games.losses), (j, games.losses, games.wins)):
            self.won[place] += wins
            self.lost[place] += losses
            self.tied[place] += games.ties

    def _climbed(self) -> list[float]:
        """Return the strengths of the highest likelihood, by equation (3) of Hunter (2004)."""
        strengths = [1.0] * len(self.players)
        scores = [VIRTUAL + won + tied / 2 for won, tied in zip(self.won, self.tied, strict=True)]
        for _ in range(STEPS):
            moved = 0.0
            for i, score in enumerate(scores):
                mine = strengths[i]
                games = (
                    (count, other) for count, other in zip(self._met[i], strengths, strict=True) if count
                )
                below = 2 * VIRTUAL / (mine + 1) + sum(count / (mine + other) for count, other in games)
                strengths[i] = score / below
                moved = max(moved, abs(strengths[i] / mine - 1))
            # MM moves the factor that all have in common slowly, for only the virtual games hold it: a step
            # of Newton finds it, where the players' expected scores in those games are one half in the mean.
            chances = [strength / (strength + 1) for strength in strengths]
            if strengths:
                slope = sum(chance * (1 - chance) for chance in chances)
                factor = math.exp((len(chances) / 2 - sum(chances)) / slope)
                strengths = [strength * factor for strength in strengths]
            if moved < CLOSE:
                break
        return strengths

    def _information(self) -> list[list[float]]:
        """Return the negative second derivatives of the log-likelihood by the logarithms of the strengths."""
        size = len(self.players)
        table = [[0.0] * size for _ in range(size)]
        for i in range(size):
            table[i][i] = 2 * VIRTUAL * _spread(self.logs[i])
            for j in range(size):
                if self._met[i][j]:
                    told = self._met[i][j] * _spread(self.logs[i] - self.logs[j])
                    table[i][i] += told
                    table[i][j] -= told
        return table

    def _deviation(self, weights: Sequence[float]) -> float:
        """Return the standard deviation of a weighted sum of the logarithms of the strengths."""
        rows = (sum(each * weight for each, weight in zip(row, weights, strict=True)) for row in self._spread)
        variance = sum(weight * row for weight, row in zip(weights, rows, strict=True))
        return math.sqrt(max(variance, 0.0))


def _spread(difference: float) -> float:
    """Return the variance of one game between players whose log-strengths differ by so much."""
    chance = 1 / (1 + math.exp(-difference))
    return chance * (1 - chance)


def _inverse(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the inverse of a symmetric positive definite matrix, by Gauss and Jordan."""
    size = len(matrix)
    rows = [[*row, *(1.0 if j == i else 0.0 for j in range(size))] for i, row in enumerate(matrix)]
    for i in range(size):
        pivot = rows[i][i]  # positive in every step: the matrix is positive definite
        rows[i] = [each / pivot for each in rows[i]]
        for j in range(size):
            if j != i and (factor := rows[j][i]):
                rows[j] = [mine - factor * theirs for mine, theirs in zip(rows[j], rows[i], strict=True)]
    return [row[size:] for row in rows]
