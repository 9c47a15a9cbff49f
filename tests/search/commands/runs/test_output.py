"""What a search prints at its end, from the tables alone."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from toprung.results.tables.rows import epoch_row, proposal_row, trial_row
from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS, run_schemas
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter
from toprung.search.cli import main
from toprung.search.commands.runs.output import show_result
from toprung.search.commands.runs.table import TableQuery, show_table
from toprung.search.driver.run_search import SearchResult
from toprung.search.jobs.schema import Job
from toprung.search.preparation.prepare import config_kinds, prepared_space
from toprung.search.runs.run_folder import RunFolder
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.trial.report import EpochReport, Outcome

if TYPE_CHECKING:
    from pathlib import Path


def run_of(job: Job, outcome: Outcome, value: float = 0.9) -> RunFolder:
    """The job's run with one trial of one epoch."""
    folder = RunFolder(job.run_root)
    folder.claim(job).release()
    report, config = EpochReport("t00000", 1, {"val_accuracy": value}, 1.0, 1.0), {"learning_rate": 0.1}
    with RunWriter(folder.root, run_schemas(config_kinds(prepared_space(job)))) as writer:
        writer.append(PROPOSALS, proposal_row("t00000", config, 0))
        writer.append(EPOCHS, epoch_row(report, 0, "STOP"))
        writer.append(TRIALS, trial_row("t00000", config, outcome, [report], TrialDetails()))
    return folder


@pytest.mark.parametrize(
    ("value", "outcome", "next_step"),
    [
        (0.9, Outcome.COMPLETED, "next       toprung retrain"),
        (math.nan, Outcome.DIVERGED, "next       no trial can be retrained: the column `reason`"),
    ],
)
def test_a_search_ends_with_the_next_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: float, outcome: Outcome, next_step: str
) -> None:
    job = Job.from_dict({"name": "a", "data": "digits", "storage": {"path": str(tmp_path)}}, "job")
    folder = run_of(job, outcome, value)
    show_result(SearchResult(folder, None), job)
    assert next_step in capsys.readouterr().out


HOURS = {"search": {"budgets": {"wall_clock_hours": 0.12}}}


@pytest.mark.parametrize(
    ("content", "value", "told"),
    [
        (HOURS, 0.9, "           with --set retrain.hours=0.08 it trains for as many epochs as fit\n"),
        (HOURS, math.nan, ""),
        ({**HOURS, "retrain": {"hours": 1}}, 0.9, ""),
        ({**HOURS, "retrain": {"epochs": 9}}, 0.9, ""),
        ({**HOURS, "space": "transfer"}, 0.9, ""),
        ({"search": {"budgets": {"wall_clock_hours": 1}, "max_epochs": 9}}, 0.9, ""),
        ({}, 0.9, ""),
    ],
    ids=["planned", "no winner", "hours", "epochs", "transfer", "epochs of the job", "no hours"],
)
def test_where_hours_planned_short_trials_a_longer_retraining_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: dict[str, Any], value: float, told: str
) -> None:
    job = Job.from_dict({"name": "a", "data": "digits", "storage": {"path": str(tmp_path)}, **content}, "job")
    show_result(SearchResult(run_of(job, Outcome.COMPLETED, value), None), job)
    assert capsys.readouterr().out.partition("next       ")[2].partition("\n")[2] == told


@pytest.mark.parametrize(
    ("second", "val_images", "is_noise"), [(0.88, 120, True), (0.7, 120, False), (0.88, 0, False)]
)
def test_a_lead_that_so_few_validation_images_cannot_show_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], second: float, val_images: int, is_noise: bool
) -> None:
    job = Job.from_dict({"name": "a", "data": "digits", "storage": {"path": str(tmp_path)}}, "job")
    folder, config = run_of(job, Outcome.COMPLETED), {"learning_rate": 0.2}
    report = EpochReport("t00001", 1, {"val_accuracy": second}, 1.0, 1.0)
    with RunWriter(folder.root, run_schemas(config_kinds(prepared_space(job)))) as writer:
        writer.append(PROPOSALS, proposal_row("t00001", config, 1))
        writer.append(EPOCHS, epoch_row(report, 1, "STOP"))
        writer.append(TRIALS, trial_row("t00001", config, Outcome.STOPPED, [report], TrialDetails()))
    show_result(SearchResult(folder, None, val_images), job)
    told = "note       t00000 is 0.0200 ahead of t00001, within the noise of 120 validation images (+-0.0279"
    assert (told in capsys.readouterr().out) is is_noise


def test_the_commands_shown_can_be_typed_as_they_are_and_a_server_is_shown_as_its_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {"name": "a", "data": "digits", "storage": {"path": str(tmp_path / "our runs")}}
    job = Job.from_dict(content, "job")
    folder = run_of(job, Outcome.COMPLETED)
    show_result(SearchResult(folder, None), job)
    printed = capsys.readouterr().out
    assert f"mlflow     mlflow ui --backend-store-uri 'sqlite:///{folder.root}/mlflow.db'" in printed
    assert f"next       toprung retrain '{folder.root}'" in printed
    served = Job.from_dict({**content, "tracking": {"uri": "https://mlflow.example.org"}}, "job")
    show_result(SearchResult(folder, None), served)
    assert "mlflow     https://mlflow.example.org\n" in capsys.readouterr().out


def test_a_run_may_end_in_a_slash_and_have_more_trials_than_its_job_asks_for_by_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {"name": "a", "data": "digits", "storage": {"path": str(tmp_path)}, "search": {"trials": 1}}
    job = Job.from_dict(content, "job")
    folder = run_of(job, Outcome.COMPLETED)
    report, config = EpochReport("t00001", 1, {"val_accuracy": 0.5}, 1.0, 1.0), {"learning_rate": 0.2}
    with RunWriter(folder.root, run_schemas(config_kinds(prepared_space(job)))) as writer:
        writer.append(PROPOSALS, proposal_row("t00001", config, 0))
        writer.append(EPOCHS, epoch_row(report, 1, "STOP"))
        writer.append(TRIALS, trial_row("t00001", config, Outcome.STOPPED, [report], TrialDetails()))
    assert main(["status", f"{folder.root}/"]) == 0
    assert capsys.readouterr().out.startswith("a: 2 of 2 trials ended: 1 completed, 1 stopped")


def test_the_pareto_set_can_be_shown_epoch_by_epoch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = {"objectives": ["val_accuracy", "val_loss"]}
    content = {"name": "a", "data": "digits", "storage": {"path": str(tmp_path)}, "search": search}
    job = Job.from_dict(content, "job")
    folder = RunFolder(job.run_root)
    folder.claim(job).release()
    with RunWriter(folder.root, run_schemas({}, Objectives.named(["val_accuracy", "val_loss"]))) as writer:
        for number, accuracy in enumerate((0.9, 0.5)):
            trial_id, values = f"t{number:05d}", {"val_accuracy": accuracy, "val_loss": 1 - accuracy}
            reports = [EpochReport(trial_id, epoch, values) for epoch in (1, 2)]
            writer.append(PROPOSALS, proposal_row(trial_id, {}, number))
            for report in reports:
                writer.append(EPOCHS, epoch_row(report, 2 * number + report.epoch, "KEEP"))
            writer.append(TRIALS, trial_row(trial_id, {}, Outcome.COMPLETED, reports, TrialDetails()))
    show_table(folder, TableQuery(layout="json", epochs=True, pareto=True))
    rows = json.loads(capsys.readouterr().out)
    assert [(row["trial_id"], row["epoch"]) for row in rows] == [("t00000", 1), ("t00000", 2)]
