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
from toprung.results.tracking.mlflow.model_registry import RegisteredModel
from toprung.search.choice.searched_run import SearchedRun
from toprung.search.cli import main
from toprung.search.jobs.schema import Job
from toprung.search.retrained.champion import DECISIONS_FILE, decide
from toprung.search.retrained.json_files import READS_FILE
from toprung.search.retrained.kept_models import FOLDER, REPORT, ModelFolder, kept_models, new_folder
from toprung.search.runs.run_folder import RunFolder
from toprung.search.winner.retrain import retrain_winner
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


def keep(folder: RunFolder, name: str, **report: Any) -> None:
    """A retraining that has ended, with a file that stands for its model."""
    kept = {
        "model": name,
        "trial_id": name.partition("-")[0],
        "test_accuracy": 0.5,
        "test_loss": 1.0,
        "config": {},
    }
    model = ModelFolder(folder, name)
    model.put("model.keras", name.encode())
    model.put(REPORT, json.dumps({**kept, **report}).encode())


def test_a_model_that_mlflow_did_not_take_is_registered_by_the_same_command_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "toprung")
    folder = searched(tmp_path)
    keep(folder, "t00000-s0", epochs=1, registered=None)
    answers = iter([ConnectionError("refused"), RegisteredModel("a", 1, "champion", "run")])
    models = []

    def register(tracking: Any, name: str, alias: str, retrained: Any, known_as: Any) -> RegisteredModel:
        models.append((alias, retrained.model_file.read_text(), retrained.tags["toprung.trial"]))
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("toprung.results.tracking.catch_up.catch_up", lambda *_: None)
    monkeypatch.setattr("toprung.results.tracking.mlflow.model_registry.register_model", register)
    assert retrain_winner(folder).report["registered"] is None
    assert "refused); the same command tries again" in caplog.text
    assert retrain_winner(folder).report["registered"] == "models:/a/1"
    assert caplog.messages[-1] == "registered a version 1 as champion (models:/a@champion)"
    for copy in ("t00000-s0/report.json", REPORT):
        report = json.loads((Path(folder.root) / FOLDER / copy).read_text())
        assert (report["registered"], report["registered_as"]) == ("models:/a/1", "champion")
    assert not retrain_winner(folder).is_new
    assert models == [("champion", "t00000-s0", "t00000")] * 2, "registered once"
    keep(folder, "t00000-s0-2", epochs=1)
    decide(folder, kept_models(folder)[1], promote=True)
    assert retrain_winner(folder).decision.alias == "earlier champion" and len(models) == 2, "no alias for it"


@pytest.mark.parametrize(
    ("winner", "epochs", "overrides", "is_kept"),
    [
        ({}, 1, [], True),
        ({}, 1, ["retrain.epochs=1"], True),
        ({}, 2, ["retrain.epochs=1"], False),
        ({"confirmed": [{"trial_id": "t00000"}, {"trial_id": "t00007"}]}, 5, [], True),
        ({"confirmed": [{"trial_id": "t00000"}]}, 5, ["retrain.epochs=1"], False),
        ({}, 1, ["retrain.calibrate=false"], False),
        ({"train_epochs": 1}, 1, ["retrain.hours=0.0000001"], False),
    ],
    ids=[
        "of an earlier version",
        "same epochs",
        "other epochs",
        "confirmed",
        "confirmed, and other epochs",
        "not calibrated",
        "hours, whose schedules are shorter",
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
    keep(folder, "t00000-s0", epochs=epochs, winner=winner, calibrated=True)
    before = kept_models(folder)
    dataset = SimpleNamespace(fingerprint="a" * 20, counts={"train": 100, "val": 20})
    monkeypatch.setattr(SearchedRun, "checked_dataset", lambda _: dataset)
    trained = {"trial_id": "t00000", "test_accuracy": 0.5}

    def train(run: Any, work: Any, address: Any) -> dict[str, Any]:
        work.model_folder.put("model.keras", b"new")
        work.model_folder.put(REPORT, json.dumps({**trained, "model": work.model_folder.name}).encode())
        return {**trained, "model": work.model_folder.name}

    monkeypatch.setattr("toprung.search.winner.retrain.train_test_and_save", train)
    retrained = retrain_winner(folder, [*overrides, "tracking.enabled=false"])
    assert retrained.is_new is not is_kept
    assert [kept.name for kept in kept_models(folder)] == (
        ["t00000-s0"] if is_kept else ["t00000-s0", "t00000-s0-2"]
    )
    assert kept_models(folder)[0] == before[0], "an earlier model is never overwritten"


def test_a_confirmed_model_is_not_replaced_by_a_winner_that_was_not_confirmed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = searched(tmp_path)
    keep(folder, "t00003-s0", epochs=5, winner={"confirmed": [{"trial_id": "t00003"}]})
    assert main(["retrain", folder.root]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the model of t00003 was confirmed, t00000 is the best by now and was not; give --set" in line


def test_the_model_of_an_earlier_version_is_kept_under_a_name_of_its_own(tmp_path: Path) -> None:
    folder = searched(tmp_path)
    storage = Storage.at(folder.root)
    report = {"trial_id": "t00000", "epochs": 1, "seed": 4, "test_accuracy": 0.5, "config": {}}
    storage.put("retrain/report.json", json.dumps(report).encode())
    storage.put("retrain/model.keras", b"model")
    for _ in range(2):
        retrained = retrain_winner(folder, ["tracking.enabled=false"])
        assert (retrained.model.name, retrained.decision.alias, retrained.is_new) == (
            "t00000-s4",
            "champion",
            False,
        )
    assert ModelFolder(folder, "t00000-s4").read("model.keras") == b"model"
    assert len(kept_models(folder)) == 1


def test_a_retraining_that_did_not_end_gives_its_name_to_the_next(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path))
    ModelFolder(folder, "t00001-s3").put("model.keras", b"of a killed process")
    assert new_folder(folder, "t00001", 3).name == "t00001-s3"
    keep(folder, "t00001-s3")
    assert new_folder(folder, "t00001", 3).name == "t00001-s3-2"
    assert new_folder(folder, "t00001", 4).name == "t00001-s4"


def test_a_run_that_cannot_be_written_is_reported_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = searched(tmp_path)
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr(
        "toprung.search.choice.searched_run.load", lambda _: pytest.fail("the images were loaded")
    )
    assert main(["retrain", folder.root]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"toprung: RUN: {folder.root} cannot be written (no permission")


@pytest.mark.parametrize("name", ["retrain/t00000-s0/report.json", READS_FILE, DECISIONS_FILE])
def test_a_damaged_file_of_the_run_is_reported_in_one_line_before_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = searched(tmp_path)
    Storage.at(folder.root).put(name, b"")
    assert main(["retrain", folder.root]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"toprung: RUN: {folder.root}/{name} is damaged; restore it, or remove it")
