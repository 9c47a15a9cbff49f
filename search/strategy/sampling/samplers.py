"""One draw from an Optuna sampler, as a function of a seed and of a history alone."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler

from toprung.search.strategy.sampling.distributions import shared_distributions, spans
from toprung.search.strategy.sampling.fixed_values import FixedValuesSampler
from toprung.search.strategy.sampling.frozen_study import FrozenStudyStorage, frozen_trial
from toprung.search.strategy.sampling.halton import HaltonSampler
from toprung.search.strategy.sampling.points import Observation, Point, Space, subseed
from toprung.spaces.definition.plain_values import plain_config
from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

DEFAULT = "stacked"  # the Gaussian processes of `surrogate`; the others are Optuna samplers on one rung
SAMPLERS = (DEFAULT, "tpe", "gp", "cmaes", "random", "qmc")
OPTUNA_MODELS = ("tpe", "gp", "cmaes")  # they need a parameter to have the same distribution in every trial
WARM_START_RESULTS = 10  # CMA-ES is fitted to the top tenth of the results: one, at least

SamplerFactory = Callable[[int, int, Sequence[Observation]], BaseSampler]
"""(seed, trial number, history) -> a sampler for one draw."""


def sample(
    space: Space,
    sampler: str,
    seed: int,
    number: int,
    history: Sequence[Observation] = (),
    fixed: Mapping[str, Any] | None = None,
) -> Point:
    """Draw a trial from the space; the same arguments give the same point.

    Parameters that only some trials have are modelled together with those they occur with (tpe), or each alone by tpe
    (gp, cmaes).

    Args:
        space: The define-by-run space.
        sampler: A name of SAMPLERS but the default one, or "module:function".
        seed: Of the search; the draw's own seed derives from it and the number.
        number: The trial's number.
        history: What the sampler learns from, in any order.
        fixed: Parameters that keep their value wherever the space allows it.

    Raises:
        InputError: The sampler is unknown, or needs a package that is not installed.
    """
    with _without_optuna_warnings():
        chosen = _factory(sampler)(seed, number, history)
        if fixed:
            chosen = FixedValuesSampler(fixed, chosen)
        trials = [
            frozen_trial(one.number, one.point.params, one.point.distributions, one.score)
            for one in sorted(history, key=lambda one: one.number)
        ]
        number = max(number, trials[-1].number + 1) if trials else number
        trial = optuna.Study("history", FrozenStudyStorage(trials, number), sampler=chosen).ask()
        return _point(plain_config(space(trial)), trial)


def locate_in_space(
    space: Space, config: Mapping[str, Any], suggested: Mapping[str, Any] | None = None
) -> Point | None:
    """Find the point of a configuration that another process drew.

    Args:
        space: The define-by-run space.
        config: The configuration.
        suggested: The parameters that the configuration does not hold under their name.

    Returns:
        The point; None when the space does not allow the configuration.
    """
    trial = optuna.trial.FixedTrial({**config, **(suggested or {})})
    try:
        with _without_optuna_warnings():
            rebuilt = plain_config(space(trial))
    except Exception:  # a user's space may raise anything for a value that it does not allow
        return None
    # A value between the steps, of a run that had other steps or none, is evidence all the same.
    if not all(spans(distribution, trial.params[name]) for name, distribution in trial.distributions.items()):
        return None
    return _point({**config, **rebuilt}, trial)


def check_sampler(name: str) -> None:
    """Raise InputError when the name is neither a known sampler nor an importable "module:function"."""
    if name != DEFAULT:
        _factory(name)


def _point(config: dict[str, Any], trial: BaseTrial) -> Point:
    return Point(config, trial.params, shared_distributions(tuple(trial.distributions.items())))


@cache
def _factory(name: str) -> SamplerFactory:
    known: dict[str, SamplerFactory] = {
        "tpe": _tpe,
        "gp": _gp,
        "cmaes": _cmaes,
        "random": _random,
        "qmc": _qmc,
    }
    return known[name] if name in known else _users_factory(name)


def _users_factory(name: str) -> SamplerFactory:
    module, colon, function = name.partition(":")
    allowed = f"must be one of {', '.join(SAMPLERS)}, or module:function taking a seed and returning an Optuna sampler"
    if not colon:
        raise InputError.single("search.sampler", repr(name), allowed)
    try:
        build: Callable[[int], BaseSampler] = getattr(importlib.import_module(module), function)
        # Called once here, because a search needs it only after its random start, hours into the run.
        sampler = build(0)
    except Exception as error:
        message = " ".join(str(error).split())
        raise InputError.single("search.sampler", f"{name!r} ({message})", allowed) from error
    if not isinstance(sampler, BaseSampler):
        given = f"{name!r} returned {type(sampler).__name__}"
        raise InputError.single("search.sampler", given, allowed)
    return lambda seed, number, history: build(subseed(seed, number, len(history)))


def _tpe(seed: int, number: int, _: Sequence[Observation]) -> BaseSampler:
    """Tree-structured Parzen estimator (Bergstra et al. 2011, Watanabe 2023)."""
    return optuna.samplers.TPESampler(
        seed=subseed(seed, number), n_startup_trials=1, multivariate=True, group=True
    )


def _random(seed: int, number: int, _: Sequence[Observation]) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=subseed(seed, number))


def _qmc(seed: int, number: int, _: Sequence[Observation]) -> BaseSampler:
    return HaltonSampler(seed, number)


def _gp(seed: int, number: int, history: Sequence[Observation]) -> BaseSampler:
    if importlib.util.find_spec("torch") is None:
        raise InputError.single(
            "search.sampler", "'gp' needs torch, which is not installed", "pip install torch"
        )
    return optuna.samplers.GPSampler(
        seed=subseed(seed, number),
        n_startup_trials=1,
        independent_sampler=_tpe(seed, number, history),
        warn_independent_sampling=False,
    )


def _cmaes(seed: int, number: int, history: Sequence[Observation]) -> BaseSampler:
    """Warm-started CMA-ES (Nomura et al. 2021): the search distribution is refitted to the history for each draw.

    It is fitted to the best tenth of the results (their gamma); before the tenth result TPE draws instead.
    """
    scored = [one for one in history if one.score is not None]
    shared = _shared_numbers([one.point for one in scored])
    if len(scored) < WARM_START_RESULTS or not shared:
        return _tpe(seed, number, history)
    return optuna.samplers.CmaEsSampler(
        seed=subseed(seed, number),
        n_startup_trials=1,
        source_trials=[
            frozen_trial(one.number, {name: one.point.params[name] for name in shared}, shared, one.score)
            for one in scored
        ],
        independent_sampler=_tpe(seed, number, history),
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


@contextmanager
def _without_optuna_warnings() -> Iterator[None]:
    """Silence Optuna's warnings of experimental options, and of values out of range, which `spans` judges."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message=".*is out of (the )?range")
        yield
