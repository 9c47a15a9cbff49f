"""Fixed values and narrowed ranges laid over any define-by-run space, without touching its code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Value = int | float | str | bool | None


@dataclass(frozen=True)
class Interval:
    """A number between `low` and `high`, both included; the space's own scale and step stay."""

    low: float
    high: float


@dataclass(frozen=True)
class Choices:
    """One of a few values."""

    values: tuple[Value, ...]


Range = Interval | Choices


class OverriddenTrial:
    """A trial that answers some suggestions itself and asks the wrapped trial for the rest.

    A fixed parameter is never suggested, so a sampler neither sees nor spends anything on it. Attributes
    other than the three `suggest_*` methods are those of the wrapped trial.
    """

    def __init__(self, trial: Any, fixed: Mapping[str, Value], ranges: Mapping[str, Range]) -> None:
        self._trial = trial
        self._fixed = fixed
        self._ranges = ranges

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)

    def asks(self, name: str) -> bool:
        """Whether the parameter is fixed or narrowed here, or further inside."""

        return name in self._fixed or name in self._ranges or is_requested(self._trial, name)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """As `optuna.Trial.suggest_float`, within the narrowed range."""
        if name in self._fixed:
            return float(self._fixed[name])  # type: ignore[arg-type]
        match self._ranges.get(name):
            case Choices(values):
                return float(self._trial.suggest_categorical(name, values))
            case Interval(low=narrow_low, high=narrow_high):
                low, high = narrow_low, narrow_high
        return float(self._trial.suggest_float(name, low, high, step=step, log=log))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """As `optuna.Trial.suggest_int`, within the narrowed range."""
        if name in self._fixed:
            return int(self._fixed[name])  # type: ignore[arg-type]
        match self._ranges.get(name):
            case Choices(values):
                return int(self._trial.suggest_categorical(name, values))
            case Interval(low=narrow_low, high=narrow_high):
                low, high = int(narrow_low), int(narrow_high)
        return int(self._trial.suggest_int(name, low, high, step=step, log=log))

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        """As `optuna.Trial.suggest_categorical`, from the narrowed choices."""
        if name in self._fixed:
            return self._fixed[name]
        match self._ranges.get(name):
            case Choices(values):
                choices = values
        value: Value = self._trial.suggest_categorical(name, choices)
        return value


def is_requested(trial: Any, name: str) -> bool:
    """Whether the job names the parameter under `fixed` or `ranges`.

    A space suggests its rarer parameters only then, and suggests its common ones from their widest range. A plain
    Optuna trial asks for none; a description of the space asks for all.
    """
    names_it = getattr(trial, "asks", None)
    return bool(names_it(name)) if callable(names_it) else False
