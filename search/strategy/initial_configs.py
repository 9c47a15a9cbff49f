"""The configurations to propose first: which of their values a space allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import CategoricalDistribution

from toprung.search.strategy.sampling.distributions import allows, from_unit, to_unit
from toprung.search.strategy.sampling.points import Point, Space, subseed
from toprung.search.strategy.sampling.samplers import sample
from toprung.spaces.definition.validation import bounds_rule
from toprung.spaces.errors import InputError, Problem, name_rule

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

DRAWS = 32  # of the values that a configuration leaves out, until one allows those it has
KEPT_SHARE = 0.7  # of the categories of a configuration, near it
STEP = 0.15  # of a number near it, as a share of its range: one standard deviation


def check_initial_configs(space: Space, configs: Sequence[Mapping[str, Any]]) -> None:
    """Raise InputError with every value of the user's configurations that the space does not allow."""
    problems = [
        Problem(f"search.initial_configs[{i}].{name}", repr(config[name]), rule)
        for i, config in enumerate(configs)
        for name, rule in _refused(space, i, config)
    ]
    if problems:
        raise InputError(problems)


def allowed_subset(space: Space, config: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a configuration that are parameters of the space, with a value it allows."""
    return _fit(space, 0, config).allowed


@dataclass(frozen=True)
class _Fit:
    """A configuration compared with a space: its allowed values, the rule that each other one breaks, and a draw."""

    allowed: dict[str, Any]
    refused: dict[str, str]
    drawn: Point


def completed(space: Space, seed: int, number: int, config: Mapping[str, Any]) -> Point:
    """The point of trial `number` with the values of a configuration; those that it leaves out are drawn at random.

    Whether a value is allowed may depend on one that is drawn, as a learning rate on the optimizer: of some draws the
    one is taken that allows the most, the first of them.
    """
    best, fewest_lost = None, len(config) + 1
    for attempt in range(DRAWS):
        point = sample(space, "random", subseed(seed, attempt) if attempt else seed, number, fixed=config)
        lost = sum(name not in point.config or point.config[name] != value for name, value in config.items())
        if lost < fewest_lost:
            best, fewest_lost = point, lost
        if not lost:
            break
    assert best is not None, "at least one draw loses no more than everything"
    return best


def near(space: Space, seed: int, number: int, config: Mapping[str, Any]) -> Point:
    """A point of trial `number` around a configuration.

    Most categories are kept, numbers move by a normal step; the others are drawn at random (Mallik et al. 2023,
    "PriorBand", their perturbed incumbent).
    """
    rng = np.random.default_rng((seed, number))
    distributions = completed(space, seed, number, config).distributions
    moved: dict[str, Any] = {}
    for name, value in config.items():
        distribution = distributions.get(name)
        if distribution is None or isinstance(distribution, CategoricalDistribution):
            if rng.random() < KEPT_SHARE:
                moved[name] = value
        elif allows(distribution, value):
            unit = to_unit(value, distribution) + STEP * rng.standard_normal()
            moved[name] = from_unit(float(np.clip(unit, 0.0, 1.0)), distribution)
    return completed(space, seed, number, moved)


def _fit(space: Space, number: int, config: Mapping[str, Any]) -> _Fit:
    # The draw keeps the values that are allowed, so that conditions are those which the configuration itself sets.
    drawn = completed(space, 0, number, config)
    suggested = {name: one for name, one in drawn.distributions.items() if name in config}
    allowed = {name: config[name] for name, one in suggested.items() if allows(one, config[name])}
    refused = {name: f"must be {_rule(one)}" for name, one in suggested.items() if name not in allowed}
    return _Fit(allowed, refused, drawn)


def _refused(space: Space, number: int, config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The names with a value that the space does not allow, and the rule it breaks."""
    fit = _fit(space, number, config)
    if fit.refused:
        return list(fit.refused.items())
    # A value that the job fixes may be repeated, so that a whole configuration can be copied from a table.
    return [
        (name, name_rule(name, sorted(fit.drawn.distributions)))
        for name in config
        if name not in fit.allowed and fit.drawn.config.get(name) != config[name]
    ]


def _rule(distribution: BaseDistribution) -> str:
    step = getattr(distribution, "step", None)
    rule = bounds_rule(distribution)
    return rule if step in (None, 1) else f"{rule} in steps of {step}"
