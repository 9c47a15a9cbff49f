"""Parameters that keep a given value wherever the space allows it, above any Optuna sampler for the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, PartialFixedSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from toprung.search.strategy.sampling.distributions import allows


class FixedValuesSampler(PartialFixedSampler):
    """Optuna's own lets a number out of its range pass and fails at a choice that is none.

    Both happen where the range or the choices of a parameter depend on another one.
    """

    def __init__(self, held: Mapping[str, Any], others: BaseSampler) -> None:
        super().__init__(dict(held), others)
        self._held, self._others = held, others

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The value held if it lies within the distribution, else what the other sampler draws."""
        if param_name in self._held and allows(param_distribution, self._held[param_name]):
            return self._held[param_name]
        return self._others.sample_independent(study, trial, param_name, param_distribution)
