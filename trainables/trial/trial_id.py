"""Trial ids: t00042 is proposal 42."""

from __future__ import annotations


def trial_id(number: int) -> str:
    """The id of a proposal number: t00042."""
    return f"t{number:05d}"


def number_of(trial_id: str) -> int:
    """The proposal number behind a trial id."""
    return int(trial_id[1:])
