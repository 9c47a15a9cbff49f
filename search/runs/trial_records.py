"""A run's tables as trial records, the form that a strategy takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toprung.results.tables.rows import configs_of, suggested_of
from toprung.search.strategy.strategy import TrialRecord
from toprung.trainables.trial.bounds import MEASURED_ON_MODEL
from toprung.trainables.trial.report import Outcome

if TYPE_CHECKING:
    import pandas as pd


def records_of(proposals: pd.DataFrame, trials: pd.DataFrame) -> list[TrialRecord]:
    """The trials of a run: what was proposed, and the outcome of those that have ended."""
    outcomes = outcomes_of(trials)
    suggested = suggested_of(proposals)
    before_end, measures = _reports_before_end(trials), _measured_on_model(trials)
    ends = {
        name: place for place, name in enumerate(trials.sort_values("ended_at", kind="stable")["trial_id"])
    }
    return [
        TrialRecord(
            name,
            config,
            outcomes.get(name),
            suggested.get(name, {}),
            before_end.get(name),
            ends.get(name, 0),
            measures.get(name, {}),
        )
        for name, config in configs_of(proposals).items()
    ]


def _reports_before_end(trials: pd.DataFrame) -> dict[str, int]:
    """By trial id, how many reports had arrived when it ended; older runs have not recorded it."""
    if "reports_before_end" not in trials:
        return {}
    known = trials.dropna(subset=["reports_before_end"])
    return dict(zip(known["trial_id"], known["reports_before_end"].astype(int), strict=True))


def _measured_on_model(trials: pd.DataFrame) -> dict[str, dict[str, float]]:
    """By trial id, what the table tells of the model itself."""
    names = [name for name in MEASURED_ON_MODEL if name in trials]
    rows = zip(trials["trial_id"], trials[names].astype(float).to_dict("records"), strict=True)
    return {name: {str(key): value for key, value in row.items() if value > 0.0} for name, row in rows}


def outcomes_of(trials: pd.DataFrame) -> dict[str, Outcome]:
    """By trial id, the outcome of each trial in the table `trials`."""
    return dict(zip(trials["trial_id"], map(Outcome, trials["outcome"]), strict=True))
