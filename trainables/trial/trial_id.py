"""Trial ids: t00042 is proposal 42."""

from __future__ import annotations

AS_MANY_AS_FIT = 1_000_000
"""The most trials of a search, and the number of one that its hours end."""

SPACE_USED_UP = "space is used up"
"""What the reason begins with for which a search ended that had no further configuration to try."""


def trials_in_words(count: int, planned: int) -> str:
    """How many of the planned trials: 3 of 18 trials, or 3 trials where as many are tried as fit."""
    return f"{count:,} trials" if planned >= AS_MANY_AS_FIT else f"{count:,} of {planned:,} trials"


def trial_id(number: int) -> str:
    """The id of a proposal number: t00042."""
    return f"t{number:05d}"


def number_of(trial_id: str) -> int:
    """The proposal number behind a trial id."""
    return int(trial_id[1:])
