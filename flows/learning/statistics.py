"""How sure a number is: confidence intervals and a paired test, with fixed seeds, so that they repeat.

Sources: the percentile bootstrap is Efron and Tibshirani, An Introduction to the Bootstrap (1993), ch. 13;
the paired permutation test flips the signs of the differences (Fisher 1935; recommended for comparing systems
on the same examples by Dror et al., ACL 2018), with the correction of Phipson and Smyth (2010), by which a
p-value is never 0.
"""

from collections.abc import Sequence

import numpy as np

from contracts.evaluation import Comparison, Interval

CONFIDENCE = 0.95
RESAMPLES = 10_000
SEED = 20_260_101
# Up to so many differences every pattern of signs is tried, and the p-value is exact.
EXACT = 14


def mean_interval(values: Sequence[float]) -> Interval:
    """Return a mean with its 95 % bootstrap interval; nothing is known of no values."""
    if not values:
        return Interval(value=0, low=0, high=1)
    data = np.asarray(values, dtype=float)
    dice = np.random.default_rng(SEED)
    # In blocks, so that ten thousand examples do not take a gigabyte.
    means = np.concatenate(
        [data[dice.integers(0, len(data), (100, len(data)))].mean(axis=1) for _ in range(RESAMPLES // 100)]
    )
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value=_short(data.mean()), low=_short(low), high=_short(high))


def compared(scores: Sequence[float], others: Sequence[float]) -> Comparison:
    """Return how scores differ from others on the same examples, in the same order."""
    differences = np.asarray(scores, dtype=float) - np.asarray(others, dtype=float)
    return Comparison(
        difference=mean_interval(list(differences)),
        p_value=_short(permutation_p(differences)),
        better=int((differences > 0).sum()),
        worse=int((differences < 0).sum()),
        equal=int((differences == 0).sum()),
    )


def permutation_p(differences: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
    """Return how often differences of random signs are as far from 0 in the mean as these, two-sided."""
    moved = differences[differences != 0]
    if not len(moved):
        return 1.0
    seen = abs(moved.sum()) - 1e-12
    if len(moved) <= EXACT:
        patterns = (np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved))) & 1
        return float((abs(((2 * patterns - 1) * moved).sum(axis=1)) >= seen).mean())
    dice = np.random.default_rng(SEED)
    far = 0
    for _ in range(RESAMPLES // 100):
        signs = dice.integers(0, 2, (100, len(moved))) * 2 - 1
        far += int((abs((signs * moved).sum(axis=1)) >= seen).sum())
    return (far + 1) / (RESAMPLES + 1)


def _short(value: float) -> float:
    return round(float(value), 6)
