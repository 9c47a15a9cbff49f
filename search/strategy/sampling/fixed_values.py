"""An Optuna sampler that keeps given values for some parameters, and leaves the others to another sampler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, PartialFixedSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from toprung.search.strategy.sampling.distributions import allows


class FixedValuesSampler(PartialFixedSampler):
    """Keeps a fixed value wherever the parameter's distribution allows it, and draws a new value elsewhere.

    Optuna's own sampler returns a number that is out of range, and fails at a choice that does not exist. Both happen
    where the range or the choices of a parameter depend on another parameter.
    """

    def __init__(self, fixed: Mapping[str, Any], sampler: BaseSampler) -> None:
        super().__init__(dict(fixed), sampler)
        self._fixed, self._sampler = fixed, sampler

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The fixed value where the distribution allows it, else what the other sampler draws."""
        if param_name in self._fixed and allows(param_distribution, self._fixed[param_name]):
            return self._fixed[param_name]
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)
