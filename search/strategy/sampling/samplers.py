"""One draw from an Optuna sampler, as a function of a seed and of a history alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

import optuna
from optuna.samplers import BaseSampler

from toprung.search.strategy.sampling.distributions import shared_distributions, spans
from toprung.search.strategy.sampling.fixed_values import FixedValuesSampler
from toprung.search.strategy.sampling.frozen_study import FrozenStudyStorage, frozen_trial
from toprung.search.strategy.sampling.optuna_samplers import OPTUNA_SAMPLERS, SamplerFactory
from toprung.search.strategy.sampling.points import Observation, Point, Space, subseed
from toprung.spaces.definition.plain_values import plain_config
from toprung.spaces.errors import InputError
from toprung.spaces.user_code.errors import errors_of_first_run, errors_of_user_code
from toprung.spaces.user_code.references import is_reference, resolve

if TYPE_CHECKING:
    from optuna.trial import FixedTrial, FrozenTrial

DEFAULT = "stacked"  # the Gaussian processes of `surrogate`; the others are Optuna samplers on one rung
SAMPLERS = (DEFAULT, *OPTUNA_SAMPLERS)


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
        InputError: The sampler is unknown, needs a package that is not installed, or is a user's and raises.
    """
    with _without_optuna_warnings(), _errors_of_sampler(sampler):
        chosen = _factory(sampler)(seed, number, history)
        if fixed:
            chosen = FixedValuesSampler(fixed, chosen)
        trials = [
            frozen_trial(one.number, one.point.params, one.point.distributions, one.score)
            for one in sorted(history, key=lambda one: one.number)
        ]
        number = max(number, trials[-1].number + 1) if trials else number
        storage = FrozenStudyStorage(trials, number)
        trial = optuna.Study("history", storage, sampler=chosen).ask()
        config = plain_config(space(trial))
        # Not those of the trial itself, which copies them deeply each time: a fifth of the time of a draw.
        return _point(config, storage.drawn)


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


def _point(config: dict[str, Any], trial: FixedTrial | FrozenTrial) -> Point:
    return Point(config, dict(trial.params), shared_distributions(tuple(trial.distributions.items())))


@cache
def _factory(name: str) -> SamplerFactory:
    return OPTUNA_SAMPLERS[name].build if name in OPTUNA_SAMPLERS else _users_factory(name)


def _users_factory(name: str) -> SamplerFactory:
    takes = "taking a seed and returning an Optuna sampler"
    allowed = f"must be one of {', '.join(SAMPLERS)}, or module:function or file.py:function {takes}"
    if not is_reference(name):
        raise InputError.single("search.sampler", repr(name), allowed)
    build: Callable[[int], BaseSampler] = resolve(name, "search.sampler")
    with errors_of_first_run("search.sampler", f"{name} fails", allowed):
        # Called once here, because a search needs it only after its random start, hours into the run.
        sampler = build(0)
    if not isinstance(sampler, BaseSampler):
        given = f"{name!r} returned {type(sampler).__name__}"
        raise InputError.single("search.sampler", given, allowed)
    return lambda seed, number, history: build(subseed(seed, number, len(history)))


def _errors_of_sampler(name: str) -> AbstractContextManager[None]:
    """Raise InputError for what a user's sampler raises, or draws that Optuna refuses, at any time of a search."""
    if not is_reference(name):
        return nullcontext()
    return errors_of_user_code(
        "search.sampler", f"{name} fails", "fix the sampler, and the same command continues"
    )


@contextmanager
def _without_optuna_warnings() -> Iterator[None]:
    """Silence Optuna's warnings of experimental options, and of values out of range, which `spans` judges."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message=".*is out of (the )?range")
        yield
