"""Uncertainty of a mean or a difference whose scores come from sequences and seeds, both drawn at random.

The variance due to sequences is that of the jackknife over sequences, each with all its objects (CV3 of MacKinnon,
Nielsen and Webb 2023), with one degree of freedom less than sequences. The variance due to seeds is that of the mean of
the seeds' means, with one degree of freedom less than seeds. The squares of the two half-widths, Student's t times the
standard error, are added (Banerjee 1960). For normal scores of equal weight, such an interval covers the true value at
least as often as it says, whatever the two variances are. The p-value is the level at which the interval would end at
the tested value, so that the two never disagree."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, log, nextafter, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

ALPHA = 0.05
"""Level of the tests; intervals cover 1 − ALPHA."""

POWER = 0.8

MIN_SEQUENCES = 6
"""Sequences needed for an interval. With fewer, even if all agree, the probability by chance is not below 1 in 20."""

MOST_SEQUENCES = 1000
"""Sequences up to which an estimate says how many would decide; beyond, it only says `more than`."""

DECIMALS = 9
"""Decimals that count: what differs less is equal. One pixel of one frame changes a score by more."""

_SMALLEST_P = 1e-12


MORE = f"more than {MOST_SEQUENCES:,}"


@dataclass(frozen=True, kw_only=True)
class Needed:
    """The number of sequences that would decide whether a value is the true one, or what else would."""

    sequences: int | None = None
    instead: str = ""
    """Text in place of a number: MORE, `more seeds` if no number of sequences would do, or `unknown`."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its 95 % interval over sequences and, if there are several, seeds."""

    estimate: float
    sequences: int
    seeds: int
    sequence_variance: float = 0.0
    """Variance of the estimate due to the choice of sequences."""

    seed_variance: float = 0.0
    """Variance of the estimate due to the seeds; 0 with one seed, which is then taken as given."""

    @property
    def low(self) -> float | None:
        """Lower end; None with fewer than MIN_SEQUENCES sequences, as are `high`, `p` and `detectable`."""
        return _rounded(self.estimate - self._reach(ALPHA / 2)) if self.sequences >= MIN_SEQUENCES else None

    @property
    def high(self) -> float | None:
        """Upper end."""
        return _rounded(self.estimate + self._reach(ALPHA / 2)) if self.sequences >= MIN_SEQUENCES else None

    @property
    def p(self) -> float | None:
        """Two-sided p-value of the true value being 0; for differences."""
        return self.p_against(0.0)

    @property
    def detectable(self) -> float | None:
        """Smallest true value that as many sequences and seeds with this scatter show with a probability of 80 %."""
        reach = self._reach(ALPHA / 2) + self._reach(1 - POWER)
        return reach if reach and self.sequences >= MIN_SEQUENCES else None

    @property
    def mostly_seeds(self) -> bool:
        """Whether the seeds make up more of the interval's width than the sequences."""
        by_sequences, by_seeds = self._parts(ALPHA / 2)
        return by_seeds > by_sequences

    def p_against(self, value: float) -> float | None:
        """Return the two-sided p-value of the true value being `value`: below ALPHA if the interval excludes it.

        If no sequence differs from another, there is no scatter to judge by; then it is that of the sign test."""
        if self.low is None or self.high is None:
            return None
        distance = abs(self.estimate - value)
        if not distance:
            return 1.0
        if not self.sequence_variance + self.seed_variance:
            p = 2.0 ** (1 - self.sequences)
        elif self._reach(_SMALLEST_P / 2) <= distance:
            p = _SMALLEST_P
        else:
            p = exp(optimize.brentq(lambda power: self._reach(exp(power) / 2) - distance, log(_SMALLEST_P), 0.0))
        outside = not self.low <= value <= self.high
        return min(p, nextafter(ALPHA, 0)) if outside else max(p, ALPHA)  # whatever the rounding

    def needed(self, value: float = 0.0, level: float = ALPHA) -> Needed:
        """Return how many sequences would bring the p-value of the true value being `value` below `level`.

        An estimate: it assumes that the mean, the scatter of the sequences and the seeds stay as they were observed."""
        if self.sequences < 2:
            return Needed(instead="unknown")  # one sequence shows no scatter
        if self.seed_variance and sqrt(self._parts(level / 2)[1]) >= abs(self.estimate - value):
            return Needed(instead="more seeds")

        def excluded(count: int) -> bool:
            variance = self.sequence_variance * (self.sequences - 1) / (count - 1)
            p = replace(self, sequences=count, sequence_variance=variance).p_against(value)
            return p is not None and p < level

        counts = range(MIN_SEQUENCES, MOST_SEQUENCES + 1)
        place = bisect_left(counts, True, key=excluded)
        return Needed(sequences=counts[place]) if place < len(counts) else Needed(instead=MORE)

    def _reach(self, tail: float) -> float:
        """Return the half-width that leaves the share `tail` on each side."""
        return sqrt(sum(self._parts(tail)))

    def _parts(self, tail: float) -> tuple[float, float]:
        """Return what sequences and seeds add to the squared half-width."""
        by_sequences = special.stdtrit(self.sequences - 1, tail) ** 2 * self.sequence_variance
        by_seeds = special.stdtrit(self.seeds - 1, tail) ** 2 * self.seed_variance if self.seed_variance else 0.0
        return float(by_sequences), float(by_seeds)


def interval(values: NDArray[np.float64], weights: NDArray[np.float64]) -> Interval:
    """Return the interval of the weighted mean over sequences and the plain mean over seeds.

    values: seeds × sequences. weights: one per sequence, positive (1, or the number of objects)."""
    seeds, count = values.shape
    order = np.lexsort((*values, weights))  # so that nothing depends on the order of the sequences
    values, shares = values[:, order], weights[order] / weights.sum()
    by_sequence, by_seed = values.mean(axis=0), values @ shares
    estimate = float(by_sequence @ shares)
    without = (by_sequence - estimate) * shares / (1 - shares) if count > 1 else np.zeros(1)
    return Interval(
        estimate=_rounded(estimate),
        sequences=count,
        seeds=seeds,
        sequence_variance=_noticeable(float((without**2).sum())),
        seed_variance=_noticeable(float(by_seed.var(ddof=1)) / seeds) if seeds > 1 else 0.0,
    )


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return the p-values corrected for as many tests as have one (Holm 1979), in the given order."""
    tests = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for step, (p, place) in enumerate(tests):
        highest = max(highest, min(1.0, p * (len(tests) - step)))
        corrected[place] = highest
    return corrected


def _rounded(number: float) -> float:
    return round(number, DECIMALS) + 0.0  # no negative zero


def _noticeable(variance: float) -> float:
    """Return the variance, or 0 if it is the effect of rounding."""
    return variance if sqrt(variance) > 10**-DECIMALS else 0.0
