"""A small search's rows, written the way the driver writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from table_fuzzer import write_run

from toprung.results.tables.rows import Row, epoch_row, proposal_row, trial_row
from toprung.results.tables.trial_details import TrialDetails
from toprung.trainables.trial.report import EpochReport, Outcome

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CONFIGS: list[dict[str, Any]] = [
    {"learning_rate": 0.1, "optimizer": "adam"},
    {"learning_rate": 0.2, "optimizer": "sgd", "momentum": 0.9, "blocks": 3, "nesterov": True},
]


class Search:
    """Rows of a search; values are given as one list of val_accuracy an epoch for each trial."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {"proposals": [], "epochs": [], "trials": []}

    def trial(self, values: list[float], outcome: Outcome | None = Outcome.COMPLETED) -> str:
        """A trial that reported these values, an epoch a second; still running when the outcome is None."""
        number = len(self.rows["proposals"])
        trial_id, config = f"t{number:05d}", CONFIGS[number % len(CONFIGS)]
        self.rows["proposals"].append(proposal_row(trial_id, config, seed=number, proposed_at=START))
        self.go_on(trial_id, values, outcome)
        return trial_id

    def go_on(
        self,
        trial_id: str,
        values: list[float],
        outcome: Outcome | None = Outcome.COMPLETED,
        first_epoch: int = 1,
    ) -> None:
        """The trial reports these values from an epoch on; `values` hold those of all epochs."""
        number = int(trial_id[1:])
        reports = [
            EpochReport(trial_id, epoch, {"val_accuracy": value, "val_loss": 1.0 - value}, 1.0, float(epoch))
            for epoch, value in enumerate(values, start=1)
        ]
        for report in reports[first_epoch - 1 :]:
            sequence = len(self.rows["epochs"])
            at = START + timedelta(seconds=sequence)
            self.rows["epochs"].append(epoch_row(report, sequence, "keep", at))
        if outcome is not None:
            facts = TrialDetails(
                seed=number, worker_startup_secs=2.0, idle_secs=0.5, parameter_count=1234, ended_at=START
            )
            config, reason = CONFIGS[number % len(CONFIGS)], f"because {outcome}"
            self.rows["trials"].append(trial_row(trial_id, config, outcome, reports, facts, reason=reason))


@pytest.fixture
def search() -> Search:
    return Search()


@pytest.fixture
def rows(search: Search) -> dict[str, Any]:
    """Five trials that were stopped and one that runs."""
    for number in range(6):
        search.trial([0.1 * number, 0.2 * number, float("nan")], None if number == 5 else Outcome.STOPPED)
    return search.rows


@pytest.fixture
def run(tmp_path: Path, rows: dict[str, Any]) -> Path:
    """The folder of a run with these rows."""
    write_run(tmp_path / "run", rows)
    return tmp_path / "run"
