"""Which settings of a run's job may change afterwards: when its search goes on, and when its winner is retrained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.system.uris import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TRIALS_KEY = "search.trials"

# How much more to spend, where, and what happens afterwards.
_WHEN_CONTINUED = (
    *(TRIALS_KEY, "search.budgets", "resources", "storage", "tracking", "retrain", "data.path", "data.folds"),
)
_WHEN_RETRAINED = ("retrain", "resources", "tracking", "data.path", "data.folds", "storage.checkpoint_secs")
_WHEN_RERUN = ("data.path",)


def may_change(key: str) -> bool:
    """Whether the setting of this dotted key may differ when a run is continued."""
    return _is_below(key, _WHEN_CONTINUED)


def check_retrain_overrides(overrides: Sequence[str]) -> None:
    """Raise InputError with each `a.b=value` text that changes what a finished search rests on."""
    if problems := list(_refused(overrides, _WHEN_RETRAINED, "a retraining")):
        raise InputError(problems)


def check_rerun_overrides(overrides: Sequence[str]) -> None:
    """Raise InputError with each `a.b=value` text that changes what a recorded trial was trained with."""
    if problems := list(_refused(overrides, _WHEN_RERUN, "a rerun")):
        raise InputError(problems)


def _refused(overrides: Sequence[str], allowed: Sequence[str], what: str) -> Iterator[Problem]:
    for text in overrides:
        key, equals, _ = text.partition("=")
        if equals and not _is_below(key, allowed):
            given = f"{mask_secrets(text)!r} given, and {what} cannot change it"
            yield Problem(f"--set {key}", given, f"must be one of {', '.join(allowed)}, or below one")


def _is_below(key: str, sections: Sequence[str]) -> bool:
    return any(key == section or key.startswith(f"{section}.") for section in sections)
