"""A run for the page: made-up tables of a search with every outcome."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from toprung.results.analysis.time_and_cost.eta import SearchPlan
from toprung.results.report.charts.run_view import JobFacts, RunView
from toprung.results.tables.rows import epoch_row, proposal_row, trial_row
from toprung.results.tables.schema import EPOCHS, PROPOSALS, RUNGS, SPACE, TRIALS, VAL_ACCURACY, run_schemas
from toprung.results.tables.space_rows import space_rows
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter
from toprung.trainables.trial.report import EpochReport, Outcome

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOSTILE = "</script><script>alert('x')</script> & \"quoted\""
ENDS = (Outcome.STOPPED, Outcome.COMPLETED, Outcome.FAILED, Outcome.DIVERGED, None)


@pytest.fixture
def view(tmp_path: Path) -> Callable[..., RunView]:
    """Make a run of so many trials, each with one to nine epochs, and read it."""

    def make(trials: int = 40, name: str = "made", is_active: bool = False) -> RunView:
        rng = np.random.default_rng(0)

        def space(trial):
            kind = trial.suggest_categorical("kind", ["a", HOSTILE])
            return {"rate": trial.suggest_float("rate", 1e-4, 1e-1, log=True), "kind": kind}

        schemas = run_schemas({"rate": "float", "kind": "str"})
        with RunWriter(tmp_path / name, schemas) as writer:
            for row in space_rows(space):
                writer.append(SPACE, row)
            for number in range(trials):
                write_trial(writer, number, rng)
        facts = JobFacts(
            name,
            VAL_ACCURACY,
            SearchPlan(trials, (1, 3, 9), 3),
            f"name: {name}\n",
            active_since=datetime.now(UTC) if is_active else None,
        )
        return RunView.read(str(tmp_path / name), facts)

    return make


def write_trial(writer: RunWriter, number: int, rng: np.random.Generator) -> None:
    trial_id, rate = f"t{number:05d}", float(10 ** rng.uniform(-4, -1))
    config = {"rate": rate, "kind": HOSTILE if number % 2 else "a"}
    outcome, last = ENDS[number % len(ENDS)], (1, 9, 3, 2, 3)[number % len(ENDS)]
    began = START + timedelta(seconds=30 * number)
    predicted = {
        "proposal_kind": "model",
        "model_rung_epoch": 1,
        "predicted_mean": 0.5,
        "predicted_deviation": 0.1,
    }
    writer.append(PROPOSALS, {**proposal_row(trial_id, config, number, "model", began), **predicted})
    reports = []
    for epoch in range(1, last + 1):
        value = min(
            1.0, max(0.0, (1 - abs(np.log10(rate) + 2.5) / 3) * (1 - 0.5**epoch) + rng.normal(0, 0.02))
        )
        value = float("nan") if outcome is Outcome.DIVERGED and epoch == last else value
        reports.append(
            EpochReport(trial_id, epoch, {"val_accuracy": value, "train_accuracy": value}, 2.0, 2.0 * epoch)
        )
        writer.append(
            EPOCHS, epoch_row(reports[-1], 10 * number + epoch, "KEEP", began + timedelta(seconds=2 * epoch))
        )
        if epoch in (1, 3, 9):
            event = {"trial_id": trial_id, "rung_epoch": epoch, "epoch": epoch, "event_index": 10 * number + epoch,
                     "decision": "KEEP", "value": value, "threshold": 0.4, "results": number + 1, "passed": 1,
                     "in_use": True, "first_rung_epoch": 1, "decided_at": began}  # fmt: skip
            writer.append(RUNGS, event)
    if outcome is not None:
        ended = began + timedelta(seconds=25)
        details = TrialDetails(
            worker_index=number % 3, preemptions=number % 2, started_at=began, ended_at=ended, idle_secs=1.0
        )
        reason = f"ValueError: {HOSTILE}" if outcome is Outcome.FAILED else "cut"
        writer.append(TRIALS, trial_row(trial_id, config, outcome, reports, details, reason=reason))
