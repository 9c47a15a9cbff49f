"""A scrambled Halton sequence: points that fill a define-by-run space more evenly than random ones."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.samplers import BaseSampler

from toprung.search.strategy.sampling.distributions import from_unit

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71)


class HaltonSampler(BaseSampler):
    """An Optuna sampler that draws point `index` of a scrambled Halton sequence.

    The k-th parameter that a trial suggests takes the k-th coordinate, so that a conditional space need not be listed
    beforehand; parameters beyond the 20th are drawn at random. The same seed and index give the same point.
    """

    def __init__(self, seed: int, index: int) -> None:
        self._seed = seed
        self._index = index
        self._dimension = 0

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002
        return {}

    def sample_relative(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
        param_name: str,  # noqa: ARG002
        param_distribution: BaseDistribution,
    ) -> Any:
        unit = halton(self._seed, self._dimension, self._index)
        self._dimension += 1
        return from_unit(unit, param_distribution)


# Not scipy.stats.qmc.Halton: it needs the number of dimensions, and draws every earlier point to get to one.
def halton(seed: int, dimension: int, index: int) -> float:
    """One coordinate of one point of a scrambled Halton sequence (Owen 2017, "A randomized Halton algorithm in R").

    Args:
        seed: Of the scrambling.
        dimension: The coordinate, from 0; its base is the prime of that place.
        index: The point, from 0.

    Returns:
        A number in [0, 1): the digits of the index in the base, permuted and mirrored at the radix point.
    """
    if dimension >= len(PRIMES):
        return float(np.random.default_rng((seed, dimension, index)).random())
    base = PRIMES[dimension]
    unit, scale, rest = 0.0, 1.0, index
    for digits in _permutations(seed, base):
        scale /= base
        unit += scale * digits[rest % base]
        rest //= base
    return unit


@lru_cache(maxsize=256)
def _permutations(seed: int, base: int) -> tuple[tuple[int, ...], ...]:
    # As many digits as fill 32 bits: no parameter resolves a finer grid.
    count = int(np.ceil(32 / np.log2(base)))
    rng = np.random.default_rng((seed, base))
    return tuple(tuple(int(digit) for digit in rng.permutation(base)) for _ in range(count))
