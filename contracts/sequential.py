"""How far two means lie apart, with bounds that hold at every look: results may be watched as they come.

A test of fixed size that is looked at after every result errs far more often than it says. Here the bounds
are a confidence sequence: with probability 1 - alpha the true difference lies inside all of them, however
often and for whatever reason somebody looks or stops.

The method is betting (Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting,
JRSS B 86, 2024). Of one arm with results x in [0, 1], a gambler who bets that the mean is above m has the
capital

    K+(m) = product over t of (1 + b_t (x_t - m)),    0 <= b_t <= c / m,

and one who bets that it is below has K-(m), with (m - x_t) and b_t <= c / (1 - m). The bets are their
approximate GRAPA, |u - m| / (v + (u - m)^2), times a caution, while the running mean u lies on the gambler's
side of m, and else 0; v is the running variance, and both know the past only. As long as the mean is not
above m, K+(m) is a supermartingale from 1, so by Ville's inequality it ever reaches 1/a with probability a at
most.

For two arms the product of their capitals is such a capital too, in whatever order their results come: "the
one is better by d or more" is refuted once K-(m + d) of the one times K+(m) of the other has reached 1/a for
every m. Of each cell of a grid of m the unfavourable corners are taken, so the grid makes the bounds wider by
up to one cell and never wrong.

Assumed: every result lies between bounds that were named before; given what was seen before it, each result
of an arm has the mean of that arm (independent results do). Not assumed: a distribution, equal variances, a
number of looks, or how the results are shared out between the arms.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

CELLS = 200
# The share of its capital that a bet may lose at most: c in the source, which takes 1/2 or 3/4.
BOLDNESS = 0.75
# Of the bet that would be best if mean and variance were known: with 0.7 the bounds of a few hundred results
# came out an eighth narrower than with 1 (chances of 0.8), and nowhere wider.
CAUTION = 0.7


@dataclass(frozen=True, slots=True)
class Bounds:
    """A difference of means as it was seen, and between what it lies."""

    value: float
    low: float
    high: float


class Difference:
    """The mean of one arm less that of another, at any time.

    Args:
        alpha: the probability with which any of the bounds that are ever given is wrong; half for each side.
        least: the smallest result there can be.
        most: the largest.
        cells: how fine the bounds are; a result costs work in proportion (200: about 40 µs).
    """

    def __init__(
        self, alpha: float = 0.05, *, least: float = 0.0, most: float = 1.0, cells: int = CELLS
    ) -> None:
        self.alpha = alpha
        self._least, self._width = least, most - least
        self._one, self._other = Arm(cells), Arm(cells)

    def add(self, one: Iterable[float] = (), other: Iterable[float] = ()) -> "Difference":
        """Take new results, each arm's in the order in which they came; returns itself.

        A result beyond the bounds that were named counts as the bound.
        """
        for arm, results in ((self._one, one), (self._other, other)):
            for result in results:
                arm.add(min(max((result - self._least) / self._width, 0.0), 1.0))
        return self

    @property
    def counts(self) -> tuple[int, int]:
        """How many results each arm has."""
        return self._one.n, self._other.n

    @property
    def means(self) -> tuple[float | None, float | None]:
        """Each arm's mean; none without results."""
        one, other = (
            self._least + self._width * arm.total / arm.n if arm.n else None
            for arm in (self._one, self._other)
        )
        return one, other

    def bounds(self) -> Bounds:
        """Return the difference, and between what it lies after all results so far."""
        high = refuted_from(self._one, self._other, self.alpha / 2) * self._width
        low = -refuted_from(self._other, self._one, self.alpha / 2) * self._width
        one, other = self.means
        return Bounds((low + high) / 2 if one is None or other is None else one - other, low, high)


@dataclass(slots=True)
class Arm:
    """What one arm has shown: the logarithm of each gambler's capital at each point of a grid over [0, 1]."""

    cells: int = CELLS
    n: int = 0
    total: float = 0.0
    above: list[float] = field(init=False)
    below: list[float] = field(init=False)
    squares: float = 0.0

    def __post_init__(self) -> None:
        self.above, self.below = [0.0] * (self.cells + 1), [0.0] * (self.cells + 1)

    def add(self, x: float) -> None:
        """Take one result, from 0 to 1."""
        # As if one half had been seen before, and with the variance of a fair coin.
        mean = (self.total + 0.5) / (self.n + 1)
        variance = (self.squares + 0.25) / (self.n + 1)
        for j in range(self.cells + 1):
            m = j / self.cells
            far = mean - m
            bet = CAUTION * abs(far) / (variance + far * far)
            if far > 0:
                if bet * m > BOLDNESS:
                    bet = BOLDNESS / m
                self.above[j] += math.log1p(bet * (x - m))
            else:
                if bet * (1 - m) > BOLDNESS:
                    bet = BOLDNESS / (1 - m)
                self.below[j] += math.log1p(bet * (m - x))
        self.n += 1
        self.total += x
        self.squares += (x - (self.total + 0.5) / (self.n + 1)) ** 2


def refuted_from(one: Arm, other: Arm, error: float) -> float:
    """Return what `mean of one - mean of other` is smaller than, in steps of the grid; 1 says nothing."""
    cells, wanted = one.cells, math.log(1 / error)

    def refuted(step: int) -> bool:
        # The other's mean in cell j is at most (j + 1) / cells, and one's then at least (j + step) / cells.
        return all(
            one.below[max(j + step, 0)] + other.above[j + 1] >= wanted
            for j in range(min(cells - step, cells - 1) + 1)
        )

    # A step that is refuted is a bound, whatever the search has missed below it.
    low, high = -cells, cells
    while low < high:
        middle = (low + high) // 2
        if refuted(middle):
            high = middle
        else:
            low = middle + 1
    return high / cells
