"""One proposal from an Optuna sampler: a function of a seed and of the history it is shown, and of nothing else."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from toprung.search.strategy.sampling.distributions import shared_distributions, spans
from toprung.search.strategy.sampling.points import Observation, Point, Space, subseed
from toprung.spaces.definition.plain_values import plain_config
from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

DEFAULT = "stacked"  # the Gaussian processes of `surrogate`; the others are Optuna samplers on one rung
SAMPLERS = (DEFAULT, "tpe", "gp", "cmaes", "random", "qmc")


# Their parameters have the same choices, kind and scale in every trial.
OPTUNA_MODELS = ("tpe", "gp", "cmaes")


def sample(
    space: Space,
    sampler: str,
    seed: int,
    number: int,
    history: Sequence[Observation] = (),
    fixed: Mapping[str, Any] | None = None,
) -> Point:
    """Draw trial `number` from the space; `fixed` parameters keep a value allowed there, the others are the sampler's.

    The same arguments give the same point. `history` is read in the order of the trial numbers. Parameters that only
    some trials have are modelled together with those they occur with (tpe), or each alone by tpe (gp, cmaes).
    Raises InputError when the sampler is unknown.
    """
    import optuna

    from toprung.search.strategy.sampling.fixed_values import FixedValuesSampler
    from toprung.search.strategy.sampling.frozen_study import FrozenStudyStorage, past_trial

    with _quiet():
        chosen = _sampler(sampler)(seed, number, history)
        if fixed:
            chosen = FixedValuesSampler(fixed, chosen)
        past = [
            past_trial(seen.number, seen.point.params, seen.point.distributions, seen.score)
            for seen in sorted(history, key=lambda seen: seen.number)
        ]
        number = max(number, past[-1].number + 1) if past else number
        study = optuna.Study("history", FrozenStudyStorage(past, number), sampler=chosen)
        trial = study.ask()
        return Point(
            plain_config(space(trial)), trial.params, shared_distributions(tuple(trial.distributions.items()))
        )


def locate_in_space(
    space: Space, config: Mapping[str, Any], suggested: Mapping[str, Any] | None = None
) -> Point | None:
    """Find the parameters behind a configuration of an earlier process; None when the space does not allow them.

    `suggested` are those that the configuration does not hold under the name they were suggested by.
    """
    import optuna

    trial = optuna.trial.FixedTrial({**config, **(suggested or {})})
    try:
        with _quiet():
            rebuilt = plain_config(space(trial))
    except Exception:  # whatever a user's own space raises where a value is none of its own
        return None
    # A value between the steps, of a run that had others or none, is evidence all the same.
    if not all(spans(kind, trial.params[name]) for name, kind in trial.distributions.items()):
        return None
    return Point(
        {**config, **rebuilt}, trial.params, shared_distributions(tuple(trial.distributions.items()))
    )


def check_sampler(name: str) -> None:
    """Raise InputError when the name is neither a known sampler nor an importable "module:function"."""
    if name != DEFAULT:
        _sampler(name)


Factory = Callable[[int, int, Sequence[Observation]], "BaseSampler"]


@cache
def _sampler(name: str) -> Factory:
    known: dict[str, Factory] = {"tpe": _tpe, "gp": _gp, "cmaes": _cmaes, "random": _random, "qmc": _qmc}
    if name in known:
        return known[name]
    from optuna.samplers import BaseSampler

    module, colon, function = name.partition(":")
    allowed = (
        f"one of {', '.join(SAMPLERS)}, or module:function taking a seed and returning an Optuna sampler"
    )
    if not colon:
        raise InputError.single("search.sampler", repr(name), allowed)
    try:
        build: Callable[[int], BaseSampler] = getattr(importlib.import_module(module), function)
        # Called once here: a search asks for it only after its random start, hours into the run.
        made = build(0)
    except Exception as error:
        told = " ".join(str(error).split())
        raise InputError.single("search.sampler", f"{name!r} ({told})", allowed) from error
    if not isinstance(made, BaseSampler):
        given = f"{name!r} returned {type(made).__name__}"
        raise InputError.single("search.sampler", given, allowed)
    return lambda seed, number, history: build(subseed(seed, number, len(history)))


def _tpe(seed: int, number: int, _: Sequence[Observation]) -> BaseSampler:
    import optuna

    return optuna.samplers.TPESampler(
        seed=subseed(seed, number), n_startup_trials=1, multivariate=True, group=True
    )


def _random(seed: int, number: int, _: Sequence[Observation]) -> BaseSampler:
    import optuna

    return optuna.samplers.RandomSampler(seed=subseed(seed, number))


def _qmc(seed: int, number: int, _: Sequence[Observation]) -> BaseSampler:
    from toprung.search.strategy.sampling.halton import HaltonSampler

    return HaltonSampler(seed, number)


def _gp(seed: int, number: int, history: Sequence[Observation]) -> BaseSampler:
    import optuna

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

    It is fitted to the top tenth (their gamma), so before the tenth result the draws are tpe's.
    """
    import optuna

    from toprung.search.strategy.sampling.frozen_study import past_trial

    scored = [seen for seen in history if seen.score is not None]
    shared = _shared_numbers([seen.point for seen in scored])
    told = [
        past_trial(seen.number, {name: seen.point.params[name] for name in shared}, shared, seen.score)
        for seen in scored
    ]
    if len(told) < 10 or not shared:
        return _tpe(seed, number, history)
    return optuna.samplers.CmaEsSampler(
        seed=subseed(seed, number),
        n_startup_trials=1,
        source_trials=told,
        independent_sampler=_tpe(seed, number, history),
        warn_independent_sampling=False,
    )


def _shared_numbers(points: Sequence[Point]) -> dict[str, BaseDistribution]:
    """The numeric parameters that every point has, with ranges wide enough to choose from."""
    from optuna.distributions import CategoricalDistribution

    first = points[0].distributions if points else {}
    return {
        name: distribution
        for name, distribution in first.items()
        if not isinstance(distribution, CategoricalDistribution)
        and not distribution.single()
        and all(point.distributions.get(name) == distribution for point in points)
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's notes on experimental options, chosen here on purpose, and on values we check ourselves."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message=".*is out of (the )?range")
        yield
