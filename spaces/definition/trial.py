"""The trial that a space draws from: the part of Optuna's `Trial` that spaces use, and what a job requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

Value = int | float | str | bool | None
"""What a parameter of a configuration can be."""


class OptunaTrial(Protocol):
    """What a space calls on its trial. Optuna's trials have these methods, as have the trials of this package."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number from `low` to `high`, both included."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number from `low` to `high`, both included."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`."""


def is_requested(trial: OptunaTrial, name: str) -> bool:
    """Whether the job names the parameter under `fixed` or `ranges`.

    A space suggests its rare parameters only then, and its common ones from their widest range. A plain Optuna trial
    requests none; `describe(..., with_rare=True)` requests all.
    """
    requests = getattr(trial, "requests", None)
    return bool(requests(name)) if callable(requests) else False
