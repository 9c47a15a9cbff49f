"""Retraining: when an earlier model stays, what stops it, and what is not saved."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from toprung.results.tables.rows import epoch_row, proposal_row, trial_row
from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS, run_schemas
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter
from toprung.results.tracking.model_registry import RegisteredModel
from toprung.search.cli import main
from toprung.search.jobs.schema import Job
from toprung.search.runs.run_folder import RunFolder
from toprung.search.winner.json_files import READS_FILE
from toprung.search.winner.model_file import save_model
from toprung.search.winner.report import REPORT_FILE
from toprung.search.winner.retrain import retrain_winner
from toprung.search.winner.searched_run import SearchedRun
from toprung.trainables.system.storage import Storage
from toprung.trainables.trial.report import EpochReport, Outcome


def searched(storage: Path) -> RunFolder:
    """A run of one trial that has ended."""
    job = Job.from_dict({"name": "a", "data": "digits", "storage": {"path": str(storage)}}, "job")
    folder = RunFolder(job.run_root)
    folder.claim(job).release()
    report, facts = EpochReport("t00000", 1, {"val_accuracy": 0.5}), TrialDetails(data_fingerprint="a" * 20)
    with RunWriter(folder.root, run_schemas({})) as writer:
        writer.append(PROPOSALS, proposal_row("t00000", {}, 0))
        writer.append(EPOCHS, epoch_row(report, 0, "STOP"))
        writer.append(TRIALS, trial_row("t00000", {}, Outcome.COMPLETED, [report], facts))
    return folder


def test_a_model_that_mlflow_did_not_take_is_registered_by_the_same_command_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "toprung")
    folder = searched(tmp_path)
    report = {"trial_id": "t00000", "epochs": 1, "config": {}, "test_accuracy": 0.5, "test_loss": 1.0}
    path = Path(folder.root) / "retrain" / "report.json"
    path.parent.mkdir()
    path.write_text(json.dumps({**report, "registered": None}))
    answers = iter(
        [ConnectionError("refused"), RegisteredModel("a", 1, "champion", "models:/a@champion", "run")]
    )
    models = []

    def register(tracking: Any, name: str, retrained: Any) -> RegisteredModel:
        models.append(retrained.model)
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("toprung.results.tracking.mirror.catch_up", lambda *_: None)
    monkeypatch.setattr("toprung.results.tracking.model_registry.register_model", register)
    monkeypatch.setattr("toprung.search.winner.registration.saved_model", lambda _: "the saved model")
    assert retrain_winner(folder).report["registered"] is None
    assert "refused); the same command tries again" in caplog.text
    assert retrain_winner(folder).report["registered"] == "models:/a@champion"
    assert caplog.messages[-1] == "registered a version 1 as champion (models:/a@champion)"
    assert json.loads(path.read_text())["registered"] == "models:/a@champion"
    assert not retrain_winner(folder).is_new
    assert models == ["the saved model"] * 2, "registered once"


@pytest.mark.parametrize(
    ("winner", "epochs", "overrides", "is_kept"),
    [
        ({}, 1, [], True),
        ({}, 1, ["retrain.epochs=1"], True),
        ({}, 2, ["retrain.epochs=1"], False),
        ({"confirmed": [{"trial_id": "t00000"}, {"trial_id": "t00007"}]}, 5, [], True),
        ({"confirmed": [{"trial_id": "t00000"}]}, 5, ["retrain.epochs=1"], False),
    ],
    ids=[
        "of an earlier version",
        "same epochs",
        "other epochs",
        "confirmed",
        "confirmed, and other epochs",
    ],
)
def test_an_earlier_model_stays_where_it_is_the_same_or_was_confirmed_against_the_winner(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    winner: dict[str, Any],
    epochs: int,
    overrides: list[str],
    is_kept: bool,
) -> None:
    folder = searched(tmp_path)
    report = {"trial_id": "t00000", "epochs": epochs, "registered": "there", "winner": winner}
    Storage.at(folder.root).put(REPORT_FILE, json.dumps(report).encode())
    dataset = SimpleNamespace(fingerprint="a" * 20, counts={"train": 100})
    monkeypatch.setattr(SearchedRun, "checked_dataset", lambda _: dataset)
    monkeypatch.setattr("toprung.search.winner.retrain.train_test_and_save", lambda *_: {"trained": True})
    retrained = retrain_winner(folder, overrides)
    assert retrained.report == (report if is_kept else {"trained": True})
    assert retrained.is_new is not is_kept


def test_a_confirmed_model_is_not_replaced_by_a_winner_that_was_not_confirmed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = searched(tmp_path)
    before = {"trial_id": "t00003", "epochs": 5, "winner": {"confirmed": [{"trial_id": "t00003"}]}}
    Storage.at(folder.root).put(REPORT_FILE, json.dumps(before).encode())
    assert main(["retrain", folder.root]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the model of t00003 was confirmed, t00000 is the best by now and was not; give --set" in line


def test_a_run_that_cannot_be_written_is_reported_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = searched(tmp_path)
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr(
        "toprung.search.winner.searched_run.load", lambda _: pytest.fail("the images were loaded")
    )
    assert main(["retrain", folder.root]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"toprung: RUN: {folder.root} cannot be written (no permission")


@pytest.mark.parametrize("name", [REPORT_FILE, READS_FILE])
def test_a_damaged_file_of_the_run_is_reported_in_one_line_before_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = searched(tmp_path)
    Storage.at(folder.root).put(name, b"")
    assert main(["retrain", folder.root]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"toprung: RUN: {folder.root}/{name} is damaged; restore it, or remove it")


def test_a_new_model_has_no_report_of_an_earlier_one_beside_it(tmp_path: Path) -> None:
    folder, model = RunFolder(str(tmp_path)), SimpleNamespace(save=lambda path: path.write_bytes(b"model"))
    Storage.at(folder.root).put(REPORT_FILE, b"{}")
    save_model(folder, model)
    assert [path.name for path in (tmp_path / "retrain").iterdir()] == ["model.keras"]
