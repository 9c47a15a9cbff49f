"""A run's tables as trial records, the form that a strategy takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toprung.results.tables.rows import configs_of, suggested_of
from toprung.search.strategy.strategy import TrialRecord
from toprung.trainables.trial.report import Outcome

if TYPE_CHECKING:
    import pandas as pd


def records_of(proposals: pd.DataFrame, trials: pd.DataFrame) -> list[TrialRecord]:
    """The trials of a run: what was proposed, and the outcome of those that have ended."""
    outcomes = outcomes_of(trials)
    suggested = suggested_of(proposals)
    before_end = _reports_before_end(trials)
    return [
        TrialRecord(name, config, outcomes.get(name), suggested.get(name, {}), before_end.get(name))
        for name, config in configs_of(proposals).items()
    ]


def _reports_before_end(trials: pd.DataFrame) -> dict[str, int]:
    """By trial id, how many reports had arrived when it ended; older runs have not recorded it."""
    if "reports_before_end" not in trials:
        return {}
    known = trials.dropna(subset=["reports_before_end"])
    return dict(zip(known["trial_id"], known["reports_before_end"].astype(int), strict=True))


def outcomes_of(trials: pd.DataFrame) -> dict[str, Outcome]:
    """By trial id, the outcome of each trial in the table `trials`."""
    return dict(zip(trials["trial_id"], map(Outcome, trials["outcome"]), strict=True))
