"""What a strategy can be told, and how its trials are called."""

from __future__ import annotations

from collections.abc import Mapping

from spaces.problem import InputError, Problem


def trial_id(number: int) -> str:
    """The id of a proposal number: t00042."""
    return f"t{number:05d}"


def number_of(trial_id: str) -> int:
    """The proposal number behind a trial id."""
    return int(trial_id[1:])


def check_settings(
    max_epochs: int,
    modes: Mapping[str, str],
    reduction_factor: int,
    min_epochs: int,
    variant: str,
    max_trials: int | None,
) -> None:
    """Raise InputError with every setting that cannot be."""
    rules = [
        (max_epochs >= 1, "max_epochs", max_epochs, "must be at least 1"),
        (set(modes.values()) <= {"max", "min"}, "mode", ", ".join(modes.values()), "must be max or min"),
        (reduction_factor >= 2, "reduction_factor", reduction_factor, "must be at least 2"),
        (1 <= min_epochs <= max_epochs, "min_epochs", min_epochs, "must be between 1 and max_epochs"),
        (variant in ("stop", "promote"), "variant", variant, "must be stop or promote"),
        (max_trials is None or max_trials >= 1, "max_trials", max_trials, "must be at least 1"),
    ]
    problems = [Problem(where, repr(given), allowed) for holds, where, given, allowed in rules if not holds]
    if problems:
        raise InputError(problems)
