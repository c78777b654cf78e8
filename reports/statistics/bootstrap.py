"""How sure a mean or a difference is: the cluster bootstrap over sequences.

Sequences are drawn with replacement, each with all its objects, and where there are several seeds, they are drawn as
well. Intervals are expanded percentile intervals (Hesterberg 2015, "What teachers should know about the bootstrap",
section 5.2), which do not come out too narrow for few sequences. All is seeded: equal numbers, equal intervals."""

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

FEWEST = 6
"""With fewer sequences no verdict is given: not even all of them agreeing has a chance below 1 in 20."""

_SEED = 20200301


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its 95 % interval."""

    estimate: float
    low: float | None
    """None with one sequence alone, as are `high` and the numbers below."""

    high: float | None
    p: float | None
    """Two-sided, of the true value being 0: Student's t with the bootstrap's standard error; for differences."""

    detectable: float | None
    """The smallest true value that this many sequences, as scattered as these, show with a chance of 80 %."""

    sequences: int
    seeds: int


def interval(values: NDArray[np.float64], weights: NDArray[np.float64]) -> Interval:
    """Of the weighted mean over sequences and the plain mean over seeds.

    values: seeds × sequences. weights: sequences, positive (1, or the number of objects)."""
    seeds, count = values.shape
    order = np.lexsort((*values, weights))  # so that nothing depends on the order of the sequences
    values, weights = values[:, order], weights[order]
    estimate = float((values.mean(axis=0) * weights).sum() / weights.sum())
    if count < 2:
        return Interval(estimate=estimate, low=None, high=None, p=None, detectable=None, sequences=count, seeds=seeds)
    drawn_sequences, drawn_seeds = _draws(count, "sequences"), _draws(seeds, "seeds")
    by_seed = (drawn_sequences @ (values * weights).T) / (drawn_sequences @ weights)[:, None]
    means = np.einsum("ij,ij->i", by_seed, drawn_seeds) / seeds
    wider = sqrt(count / (count - 1))
    tail, reach = _reach(count)
    low, high = np.quantile(means, [tail, 1 - tail])
    error = float(means.std()) * wider
    return Interval(
        estimate=estimate,
        low=float(low),
        high=float(high),
        p=2 * float(special.stdtr(count - 1, -abs(estimate) / error)) if error else float(estimate == 0),
        detectable=reach * error,
        sequences=count,
        seeds=seeds,
    )


def holm(chances: Sequence[float]) -> list[float]:
    """The chances corrected for being several (Holm 1979), in the order given."""
    order = sorted(range(len(chances)), key=lambda place: chances[place])
    corrected, highest = [0.0] * len(chances), 0.0
    for step, place in enumerate(order):
        highest = max(highest, min(1.0, chances[place] * (len(chances) - step)))
        corrected[place] = highest
    return corrected


@lru_cache(maxsize=64)
def _reach(count: int) -> tuple[float, float]:
    """The expanded interval's tail, and how many standard errors a true difference must be off 0 to be shown."""
    low, high, power = (float(special.stdtrit(count - 1, share)) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2, POWER))
    return float(special.ndtr(sqrt(count / (count - 1)) * low)), high + power


@lru_cache(maxsize=64)
def _draws(count: int, kind: Literal["sequences", "seeds"]) -> NDArray[np.float64]:
    """How often each of `count` things is drawn: resamples × count. The draws of the two kinds are independent."""
    generator = np.random.default_rng([_SEED, count, kind == "seeds"])
    return generator.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(np.float64)
