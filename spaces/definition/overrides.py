"""A trial that replaces what a space suggests by the fixed values and ranges of a job; the space stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toprung.spaces.definition.trial import OptunaTrial, Value, is_requested

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Interval:
    """The numbers from `low` to `high`, both included, at the scale and step that the space gives."""

    low: float
    high: float


@dataclass(frozen=True)
class Choices:
    """One of a few values."""

    values: tuple[Value, ...]


Range = Interval | Choices


class OverriddenTrial:
    """A trial whose suggestions obey a job's fixed values and ranges; the wrapped trial makes all others.

    A fixed parameter is never suggested, so a sampler neither sees nor spends anything on it. Attributes
    other than those defined here are the wrapped trial's.

    Args:
        trial: The wrapped trial.
        fixed: Parameter -> its value.
        ranges: Parameter -> the range that takes the place of the space's own.
    """

    def __init__(self, trial: OptunaTrial, fixed: Mapping[str, Value], ranges: Mapping[str, Range]) -> None:
        self._trial = trial
        self._fixed = fixed
        self._ranges = ranges

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)

    def requests(self, name: str) -> bool:
        """Whether the parameter is fixed or given a range here, or by the wrapped trial (see `is_requested`)."""
        return name in self._fixed or name in self._ranges or is_requested(self._trial, name)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """The fixed value, else as `optuna.Trial.suggest_float` within the range of the job."""
        if name in self._fixed:
            return float(self._fixed[name])  # type: ignore[arg-type]
        match self._ranges.get(name):
            case Choices(values):
                return float(self._trial.suggest_categorical(name, values))
            case Interval() as interval:
                low, high = interval.low, interval.high
        return float(self._trial.suggest_float(name, low, high, step=step, log=log))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """The fixed value, else as `optuna.Trial.suggest_int` within the range of the job."""
        if name in self._fixed:
            return int(self._fixed[name])  # type: ignore[arg-type]
        match self._ranges.get(name):
            case Choices(values):
                return int(self._trial.suggest_categorical(name, values))
            case Interval() as interval:
                low, high = int(interval.low), int(interval.high)
        return int(self._trial.suggest_int(name, low, high, step=step, log=log))

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        """The fixed value, else as `optuna.Trial.suggest_categorical` from the choices of the job."""
        if name in self._fixed:
            return self._fixed[name]
        match self._ranges.get(name):
            case Choices(values):
                choices = values
        value: Value = self._trial.suggest_categorical(name, choices)
        return value
