"""What a run's tables say of one trial: all that is needed to train it again, and what came out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from toprung.results.tables.parts import read_reports, read_tables
from toprung.results.tables.rows import config_of
from toprung.search.winner.train import row_of
from toprung.spaces.errors import InputError
from toprung.trainables.trial.report import EpochReport, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.search.runs.run_folder import RunFolder

NAMED = 5  # trial ids in a message
UNFINISHED = (Outcome.OOM, Outcome.FAILED)
"""Outcomes of an epoch that has no report: it is the one after the last."""


@dataclass(frozen=True)
class RecordedTrial:
    """A trial that has ended.

    Attributes:
        trial_id: Its id.
        row: Its row in the table `trials`.
        config: Its configuration.
        seed: Its seed.
        outcome: How it ended.
        reports: Its epochs, each once, in order.
    """

    trial_id: str
    row: Mapping[str, Any]
    config: Mapping[str, Any]
    seed: int
    outcome: Outcome
    reports: tuple[EpochReport, ...]

    @classmethod
    def read(cls, folder: RunFolder, trial_id: str) -> RecordedTrial:
        """Read a trial. Raises `InputError` where the run has none of this id that can be trained again."""
        proposals, _, trials = read_tables(folder.root)
        if trial_id not in set(trials["trial_id"]):
            raise _unknown(folder, trial_id, trials, is_proposed=trial_id in set(proposals["trial_id"]))
        row = row_of(trials, trial_id)
        reports = {
            report.epoch: report for report in read_reports(folder.root) if report.trial_id == trial_id
        }
        outcome = Outcome(row["outcome"])
        if not reports and outcome not in UNFINISHED:
            given = f"{trial_id} has no epoch ({outcome}: {row['reason'] or 'no reason recorded'})"
            raise InputError.single("TRIAL", given, "must be a trial that was trained")
        if pd.isna(row["seed"]) or pd.isna(row["data_fingerprint"]):
            given = f"the row of {trial_id} holds no seed or no fingerprint of its images"
            raise InputError.single("TRIAL", given, "must be a row that `toprung search` has written")
        ordered = tuple(reports[epoch] for epoch in sorted(reports))
        return cls(trial_id, row, config_of(row), int(row["seed"]), outcome, ordered)

    @property
    def epochs(self) -> int:
        """The last epoch to train: the last one recorded, or the next one where the trial failed in it."""
        last = self.reports[-1].epoch if self.reports else 0
        return last + 1 if self.outcome in UNFINISHED else last

    @property
    def data_fingerprint(self) -> str:
        """That of the images and labels it was trained on."""
        return str(self.row["data_fingerprint"])


def _unknown(folder: RunFolder, trial_id: str, trials: pd.DataFrame, is_proposed: bool) -> InputError:
    if is_proposed:
        return InputError.single(
            "TRIAL", f"{trial_id} has not ended", "wait for its end, or continue the search"
        )
    some = ", ".join(sorted(trials["trial_id"])[:NAMED]) or "none has by now"
    given = f"{trial_id!r} is no trial of {folder.root}"
    return InputError.single("TRIAL", given, f"must be one that has ended, such as {some}")
