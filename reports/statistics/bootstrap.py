"""Uncertainty of a mean or a difference: the cluster bootstrap over sequences.

Sequences are drawn with replacement, each with all its objects; several seeds are drawn as well. Intervals are expanded
percentile intervals (Hesterberg 2015, "What teachers should know about the bootstrap", section 5.2), which do not come
out too narrow for few sequences. All draws are seeded: equal numbers give equal intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

RESAMPLES = 5_000
LEVEL = 0.95
POWER = 0.8

MIN_SEQUENCES = 6
"""Sequences needed for a verdict. With fewer, even if all agree, the probability by chance is not below 1 in 20."""

_SEED = 20200301


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its 95 % interval."""

    estimate: float
    sequences: int
    seeds: int
    low: float | None = None
    """Lower end. With a single sequence it is None, as are `high`, `p` and `detectable`."""

    high: float | None = None
    p: float | None = None
    """Two-sided p-value of the true value being 0: Student's t with the bootstrap's standard error; for differences."""

    detectable: float | None = None
    """Smallest true value that this many sequences with this scatter show with a probability of 80 %."""


def interval(values: NDArray[np.float64], weights: NDArray[np.float64]) -> Interval:
    """Return the interval of the weighted mean over sequences and the plain mean over seeds.

    values: seeds × sequences. weights: one per sequence, positive (1, or the number of objects)."""
    seeds, count = values.shape
    order = np.lexsort((*values, weights))  # so that nothing depends on the order of the sequences
    values, weights = values[:, order], weights[order]
    estimate = float((values.mean(axis=0) * weights).sum() / weights.sum())
    if count < 2:
        return Interval(estimate=estimate, sequences=count, seeds=seeds)
    drawn_sequences, drawn_seeds = _draws(count, "sequences"), _draws(seeds, "seeds")
    by_seed = (drawn_sequences @ (values * weights).T) / (drawn_sequences @ weights)[:, None]
    means = np.einsum("ij,ij->i", by_seed, drawn_seeds) / seeds
    tail, reach = _tail_and_reach(count)
    low, high = np.quantile(means, [tail, 1 - tail])
    error = float(means.std()) * sqrt(count / (count - 1))
    return Interval(
        estimate=estimate,
        low=float(low),
        high=float(high),
        p=2 * float(special.stdtr(count - 1, -abs(estimate) / error)) if error else float(estimate == 0),
        detectable=reach * error,
        sequences=count,
        seeds=seeds,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for multiple tests (Holm 1979), in the given order."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected, highest = [0.0] * len(p_values), 0.0
    for step, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - step)))
        corrected[index] = highest
    return corrected


@lru_cache(maxsize=64)
def _tail_and_reach(count: int) -> tuple[float, float]:
    """Return the expanded interval's tail, and how many standard errors a detectable difference lies from 0."""
    low, high, power = (float(special.stdtrit(count - 1, share)) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2, POWER))
    return float(special.ndtr(sqrt(count / (count - 1)) * low)), high + power


@lru_cache(maxsize=64)
def _draws(count: int, kind: Literal["sequences", "seeds"]) -> NDArray[np.float64]:
    """Return how often each of `count` items is drawn: resamples × count. Draws of the two kinds are independent."""
    generator = np.random.default_rng([_SEED, count, kind == "seeds"])
    return generator.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(np.float64)
