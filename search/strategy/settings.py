"""The settings of a strategy, checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from toprung.search.strategy.early_stopping.asha import SuccessiveHalving
from toprung.search.strategy.early_stopping.pareto import ParetoRung
from toprung.search.strategy.early_stopping.rung import Rung, rung_epochs
from toprung.search.strategy.sampling.samplers import DEFAULT
from toprung.spaces.errors import InputError, Problem
from toprung.trainables.trial.bounds import Bounds, bound_problems
from toprung.trainables.trial.objectives import Objective, Objectives

MODES = ("max", "min")
VARIANTS = ("stop", "promote")


@dataclass(frozen=True, kw_only=True)
class StrategySettings:
    """The settings of a strategy; but for the epochs each has a default that suits any space.

    Attributes:
        max_epochs: Epochs of a full training, which is the last rung.
        mode: "max" or "min", the better direction of `metric`.
        metric: The metric to optimize.
        objectives: Two or more objectives, in place of `metric`, `mode` and `bounds`.
        bounds: What the winner has to keep, such as {"latency_ms": {"max": 5}}; the reports hold these metrics.
        reduction_factor: A rung keeps the best 1/reduction_factor of its trials.
        min_epochs: The epoch of the first rung.
        variant: "stop" ends the losers of a rung; "promote" pauses every trial at a rung and resumes the winners.
        sampler: "stacked", the name of an Optuna sampler (see `SAMPLERS`), or "module:function".
        max_trials: Configurations to propose at most; None sets no limit.
        initial_configs: Configurations to propose first; parameters they leave out are drawn at random.

    Raises:
        InputError: With every value that is not allowed.
    """

    max_epochs: int
    mode: str = "max"
    metric: str = "val_accuracy"
    objectives: Objectives | None = None
    bounds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    reduction_factor: int = 3
    min_epochs: int = 1
    variant: str = "stop"
    sampler: str = DEFAULT
    max_trials: int | None = None
    initial_configs: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise InputError(problems)

    @classmethod
    def of(cls, max_epochs: int, mode: str, others: Mapping[str, Any]) -> Self:
        """Settings from keywords: `others` are fields beside `max_epochs` and `mode`.

        Raises:
            TypeError: A keyword is not a setting.
            InputError: With every value that is not allowed.
        """
        names = [one.name for one in fields(cls) if one.name not in ("max_epochs", "mode")]
        unknown = [name for name in others if name not in names]
        if unknown:
            raise TypeError(f"unknown setting {', '.join(unknown)}; the settings are {', '.join(names)}")
        return cls(max_epochs=max_epochs, mode=mode, **others)

    @property
    def optimized(self) -> Objectives:
        """The objectives; the metric alone where none are given."""
        objective = Objective(self.metric, "min" if self.mode == "min" else "max")
        return self.objectives or Objectives((objective,), Bounds.of(self.bounds))

    def new_halving(self) -> SuccessiveHalving:
        """Successive halving at the rungs that these settings ask for, without results."""
        epochs = rung_epochs(self.max_epochs, self.reduction_factor, self.min_epochs)
        rung_type = ParetoRung if self.optimized.secondary else Rung
        pauses, is_bounded = self.variant == "promote", bool(self.optimized.bounds)
        return SuccessiveHalving(epochs, self.reduction_factor, pauses, rung_type, is_bounded)

    def _problems(self) -> Iterator[Problem]:
        modes = [one.mode for one in self.objectives.all] if self.objectives else [self.mode]
        is_within = 1 <= self.min_epochs <= self.max_epochs
        one_place = self.objectives is None or not self.bounds
        has_a_trial = self.max_trials is None or self.max_trials >= 1
        rules = [
            (self.max_epochs >= 1, "max_epochs", self.max_epochs, "must be at least 1"),
            (set(modes) <= set(MODES), "mode", ", ".join(modes), f"must be {' or '.join(MODES)}"),
            (one_place, "bounds", self.bounds, "must be those of objectives, where these are given"),
            (self.reduction_factor >= 2, "reduction_factor", self.reduction_factor, "must be at least 2"),
            (is_within, "min_epochs", self.min_epochs, "must be between 1 and max_epochs"),
            (self.variant in VARIANTS, "variant", self.variant, f"must be {' or '.join(VARIANTS)}"),
            (has_a_trial, "max_trials", self.max_trials, "must be at least 1"),
        ]
        for holds, where, given, rule in rules:
            if not holds:
                yield Problem(where, repr(given), rule)
        yield from bound_problems(self.bounds)
