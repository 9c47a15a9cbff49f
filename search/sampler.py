"""One proposal from an Optuna sampler: a function of a seed and of the history it is shown, and of nothing else."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import numbers
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from spaces.plain import plain_config
from spaces.problem import InputError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

Space = Callable[[Any], Mapping[str, Any]]
Config = dict[str, Any]
DEFAULT = "stacked"  # the stacked rung model of search/stacked.py; the others are Optuna samplers on one rung
SAMPLERS = (DEFAULT, "tpe", "gp", "cmaes", "random", "qmc")
ON_STEP = 1e-8  # steps that a number may lie beside its step: 0.3 / 0.1 is no whole number of floats
# Their parameters have the same choices, kind and scale in every trial.
OPTUNA_MODELS = ("tpe", "gp", "cmaes")


@dataclass(frozen=True)
class Point:
    """Where a trial lies in the space: its configuration, and the parameters suggested for it by name."""

    config: Config
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]

    @property
    def beside_config(self) -> dict[str, Any]:
        """The parameters that do not stand in the configuration under their name: `place` needs them beside it."""
        config = self.config
        return {
            name: value for name, value in self.params.items() if name not in config or config[name] != value
        }


@dataclass(frozen=True)
class Observation:
    """A trial a model may learn from; `score` is higher for better, None while its result is still to come."""

    number: int
    point: Point
    score: float | None


def draw(
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

    from search.held import HeldSampler
    from search.history import HistoryStorage, past_trial

    with _quiet():
        chosen = _sampler(sampler)(seed, number, history)
        if fixed:
            chosen = HeldSampler(fixed, chosen)
        past = [
            past_trial(seen.number, seen.point.params, seen.point.distributions, seen.score)
            for seen in sorted(history, key=lambda seen: seen.number)
        ]
        number = max(number, past[-1].number + 1) if past else number
        study = optuna.Study("history", HistoryStorage(past, number), sampler=chosen)
        trial = study.ask()
        return Point(plain_config(space(trial)), trial.params, _shared(tuple(trial.distributions.items())))


def place(
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
    if not all(_spans(kind, trial.params[name]) for name, kind in trial.distributions.items()):
        return None
    return Point({**config, **rebuilt}, trial.params, _shared(tuple(trial.distributions.items())))


@lru_cache(maxsize=1024)
def _shared(distributions: tuple[tuple[str, BaseDistribution], ...]) -> Mapping[str, BaseDistribution]:
    """One object for all trials with the same parameters: thousands of copies would burden memory and its collector."""
    return dict(distributions)


def subseed(*parts: object) -> int:
    """A 31-bit seed from any printable parts; the same on every machine and in every process."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


def check_sampler(name: str) -> None:
    """Raise InputError when the name is neither a known sampler nor an importable "module:function"."""
    if name != DEFAULT:
        _sampler(name)


def allows(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a distribution can give a value: one of its choices, or a number of its range that lies on its steps."""
    if not _spans(distribution, value):
        return False
    low, step = getattr(distribution, "low", 0), getattr(distribution, "step", None)
    return step is None or abs((value - low) / step - round((value - low) / step)) < ON_STEP


def _spans(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a value lies within a distribution's choices or range; a wrong type does not."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return number and bool(distribution.low <= value <= distribution.high)


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
    from search.quasirandom import HaltonSampler

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

    from search.history import past_trial

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
