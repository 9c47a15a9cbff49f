"""The Optuna samplers that a job can name. A new one is a function and its entry in `OPTUNA_SAMPLERS`."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler

from toprung.search.strategy.sampling.frozen_study import frozen_trial
from toprung.search.strategy.sampling.halton import HaltonSampler
from toprung.search.strategy.sampling.points import Observation, Point, subseed
from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

WARM_START_RESULTS = 10  # CMA-ES is fitted to the top tenth of the results: one, at least

SamplerFactory = Callable[[int, int, Sequence[Observation]], BaseSampler]
"""(seed, trial number, history) -> a sampler for one draw."""


@dataclass(frozen=True)
class OptunaSampler:
    """How a sampler is made, and what it needs.

    build: makes it for one draw.
    uses_results: whether its draws depend on the history.
    needs_same_distributions: whether a parameter must have the same distribution in every trial.
    """

    build: SamplerFactory
    uses_results: bool = True
    needs_same_distributions: bool = False


def tpe(seed: int, number: int, _: Sequence[Observation]) -> BaseSampler:
    """Tree-structured Parzen estimator (Bergstra et al. 2011, Watanabe 2023)."""
    return optuna.samplers.TPESampler(
        seed=subseed(seed, number), n_startup_trials=1, multivariate=True, group=True
    )


def random(seed: int, number: int, _: Sequence[Observation]) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=subseed(seed, number))


def qmc(seed: int, number: int, _: Sequence[Observation]) -> BaseSampler:
    return HaltonSampler(seed, number)


def gp(seed: int, number: int, history: Sequence[Observation]) -> BaseSampler:
    if importlib.util.find_spec("torch") is None:
        raise InputError.single(
            "search.sampler", "'gp' needs torch, which is not installed", "pip install torch"
        )
    return optuna.samplers.GPSampler(
        seed=subseed(seed, number),
        n_startup_trials=1,
        independent_sampler=tpe(seed, number, history),
        warn_independent_sampling=False,
    )


def cmaes(seed: int, number: int, history: Sequence[Observation]) -> BaseSampler:
    """Warm-started CMA-ES (Nomura et al. 2021): the search distribution is refitted to the history for each draw.

    It is fitted to the best tenth of the results (their gamma); before the tenth result TPE draws instead.
    """
    scored = [one for one in history if one.score is not None]
    shared = _shared_numbers([one.point for one in scored])
    if len(scored) < WARM_START_RESULTS or not shared:
        return tpe(seed, number, history)
    return optuna.samplers.CmaEsSampler(
        seed=subseed(seed, number),
        n_startup_trials=1,
        source_trials=[
            frozen_trial(one.number, {name: one.point.params[name] for name in shared}, shared, one.score)
            for one in scored
        ],
        independent_sampler=tpe(seed, number, history),
        warn_independent_sampling=False,
    )


def _shared_numbers(points: Sequence[Point]) -> dict[str, BaseDistribution]:
    """The numeric parameters that leave a choice and have the same distribution at every point."""
    first = points[0].distributions if points else {}
    return {
        name: distribution
        for name, distribution in first.items()
        if not isinstance(distribution, CategoricalDistribution)
        and not distribution.single()
        and all(point.distributions.get(name) == distribution for point in points)
    }


OPTUNA_SAMPLERS: Mapping[str, OptunaSampler] = {
    "tpe": OptunaSampler(tpe, needs_same_distributions=True),
    "gp": OptunaSampler(gp, needs_same_distributions=True),
    "cmaes": OptunaSampler(cmaes, needs_same_distributions=True),
    "random": OptunaSampler(random, uses_results=False),
    "qmc": OptunaSampler(qmc, uses_results=False),
}
