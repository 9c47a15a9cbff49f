"""Retraining: what stops it, what is not saved, and in what parts the winner's batches are computed."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from toprung.results.tables.rows import TrialFacts, epoch_row, proposal_row, trial_row
from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS, run_schemas
from toprung.results.tables.writer import RunWriter
from toprung.results.tracking.model_registry import Registered
from toprung.search.cli import main
from toprung.search.driver.search_failure import SearchFailedError
from toprung.search.jobs.load import parse_job
from toprung.search.runs.run_folder import RunFolder
from toprung.search.winner.retrain import parts_of_batches, retrain_task, retrain_winner, train_through
from toprung.search.winner.retrain_report import READS_FILE, REPORT_FILE, save_model
from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import load
from toprung.trainables.system.storage import Storage
from toprung.trainables.trial.report import EpochReport, Outcome

TRAIN_IMAGES = 100


@pytest.mark.parametrize(
    ("micro_batch_size", "config", "parts"),
    [
        (32, {"batch_size": 64}, 2),
        (9, {"batch_size": 65}, 8),
        (50, {"batch_size": 256}, 2),
        (13, {"batch_size": 256}, 8),
        (5, {"batch_size": 33}, 8),
        (pd.NA, {"batch_size": 64}, 1),
        (4, {}, 1),
    ],
)
def test_the_parts_of_the_winners_batches_are_read_from_its_row(
    micro_batch_size: Any, config: dict[str, int], parts: int
) -> None:
    sizes = pd.array([pd.NA, micro_batch_size], dtype="Int64")
    trials = pd.DataFrame({"trial_id": ["t00000", "t00001"], "micro_batch_size": sizes})
    winner: Any = SimpleNamespace(trial_id="t00001", config=config)
    assert parts_of_batches(trials, winner, TRAIN_IMAGES) == parts
    assert parts_of_batches(trials.drop(columns="micro_batch_size"), winner, TRAIN_IMAGES) == 1, (
        "rows of an earlier version"
    )


@pytest.mark.parametrize(
    ("losses", "epoch"),
    [
        ([(math.nan, math.nan)], 1),
        ([(0.5, 0.6), (math.inf, math.nan)], 2),
        ([(0.5, 0.6), (0.4, math.nan)], 2),
        ([(0.5, 0.6), (0.4, 0.5)], None),
    ],
    ids=["nan", "infinite", "by its last step", "never"],
)
def test_a_retraining_that_diverges_is_told_and_not_gone_on_with(
    losses: list[tuple[float, float]], epoch: int | None
) -> None:
    told = iter(losses)

    def train_epoch(epoch: int) -> dict[str, float]:
        train_loss, val_loss = next(told)
        return {"train_loss": train_loss, "train_accuracy": 0.5, "val_loss": val_loss}

    trainer: Any = SimpleNamespace(train_epoch=train_epoch)
    if epoch is None:
        train_through(trainer, len(losses), "t00001")
        return
    with pytest.raises(SearchFailedError, match=f"of t00001 diverged at epoch {epoch}; nothing was saved"):
        train_through(trainer, 3, "t00001")


@pytest.mark.parametrize(("epochs", "schedule"), [(6, 9), (9, 9), (14, 14)])
def test_a_retraining_that_is_longer_than_the_search_has_its_schedule_laid_out_for_all_of_it(
    epochs: int, schedule: int
) -> None:
    dataset = load(parse_job({"name": "a", "data": "digits"}, "job").data_spec())
    task = retrain_task(dataset, 9, epochs)
    assert task.max_epochs == schedule
    assert len(task.train.labels) == dataset.counts["train"] + dataset.counts["val"]


def searched(storage: Path) -> RunFolder:
    """A run of one trial that has ended."""
    job = parse_job({"name": "a", "data": "digits", "storage": {"path": str(storage)}}, "job")
    folder = RunFolder(job.run_root)
    folder.claim(job).release()
    report, facts = EpochReport("t00000", 1, {"val_accuracy": 0.5}), TrialFacts(data_fingerprint="a" * 20)
    with RunWriter(folder.root, run_schemas({})) as writer:
        writer.append(PROPOSALS, proposal_row("t00000", {}, 0))
        writer.append(EPOCHS, epoch_row(report, 0, "STOP"))
        writer.append(TRIALS, trial_row("t00000", {}, Outcome.COMPLETED, [report], facts))
    return folder


def test_a_model_that_mlflow_did_not_take_is_registered_by_the_same_command_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = searched(tmp_path)
    report = {"trial_id": "t00000", "epochs": 1, "config": {}, "test_accuracy": 0.5, "test_loss": 1.0}
    path = Path(folder.root) / "retrain" / "report.json"
    path.parent.mkdir()
    path.write_text(json.dumps({**report, "registered": None}))
    answers = iter([ConnectionError("refused"), Registered("a", 1, "champion", "models:/a@champion", "run")])
    models = []

    def register(tracking: Any, model: Any, name: str, **_: Any) -> Registered:
        models.append(model)
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("toprung.results.tracking.mirror.catch_up", lambda *_: None)
    monkeypatch.setattr("toprung.results.tracking.model_registry.register_model", register)
    monkeypatch.setattr("toprung.search.winner.retrain_report.saved_model", lambda _: "the saved model")
    assert retrain_winner(folder).report["registered"] is None
    assert "refused); the same command tries again" in capsys.readouterr().out
    assert retrain_winner(folder).report["registered"] == "models:/a@champion"
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
        "as asked",
        "not as asked",
        "confirmed",
        "confirmed, and other epochs asked",
    ],
)
def test_an_earlier_model_is_kept_where_it_is_of_the_same_or_was_confirmed_against_it(
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
    monkeypatch.setattr(
        "toprung.search.winner.retrain._ready", lambda *_: SimpleNamespace(counts={"train": 1})
    )
    monkeypatch.setattr("toprung.search.winner.retrain._train", lambda *_: {"trained": True})
    done = retrain_winner(folder, overrides)
    assert done.report == (report if is_kept else {"trained": True})


def test_a_confirmed_model_is_not_replaced_by_a_winner_that_was_not_confirmed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = searched(tmp_path)
    before = {"trial_id": "t00003", "epochs": 5, "winner": {"confirmed": [{"trial_id": "t00003"}]}}
    Storage.at(folder.root).put(REPORT_FILE, json.dumps(before).encode())
    assert main(["retrain", folder.root]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the model of t00003 was confirmed, t00000 is the best by now and was not; give --set" in line


def test_a_run_that_cannot_be_written_is_told_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = searched(tmp_path)
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr("toprung.search.winner.retrain.load", lambda _: pytest.fail("the images were loaded"))
    assert main(["retrain", folder.root]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"toprung: RUN: {folder.root} cannot be written (no permission")


@pytest.mark.parametrize("name", [REPORT_FILE, READS_FILE])
def test_a_damaged_file_of_the_run_is_told_in_one_line_before_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = searched(tmp_path)
    Storage.at(folder.root).put(name, b"")
    assert main(["retrain", folder.root]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"toprung: RUN: {folder.root}/{name} is damaged; restore it, or remove it")


def test_no_report_of_an_earlier_model_stands_beside_another(tmp_path: Path) -> None:
    folder, model = RunFolder(str(tmp_path)), SimpleNamespace(save=lambda path: path.write_bytes(b"model"))
    Storage.at(folder.root).put(REPORT_FILE, b"{}")
    save_model(folder, model)
    assert [path.name for path in (tmp_path / "retrain").iterdir()] == ["model.keras"]


@pytest.mark.parametrize(
    ("command", "interrupted", "told"),
    [
        (["retrain", "x"], "toprung.search.winner.retrain.retrain_winner", "the retraining begins again"),
        (["search", "x"], "toprung.search.runs.run_folder.load_extended", "goes on where this one stopped"),
        (
            ["search", "x", "--set", "search.trials=+4"],
            "toprung.search.runs.run_folder.load_extended",
            "or adds as many again once all",
        ),
    ],
)
def test_an_interrupted_command_says_what_the_next_start_of_it_does(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    interrupted: str,
    told: str,
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(interrupted, interrupt)
    assert main(command) == 130
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_being_terminated_and_the_end_of_the_terminal_are_interrupts_unless_ignored(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hang_up(*_: object) -> None:
        signal.raise_signal(number)
        raise InputError.single("RUN", "nothing came", "goes on")

    monkeypatch.setattr("toprung.search.winner.retrain.retrain_winner", hang_up)
    before = signal.getsignal(number)
    try:
        signal.signal(number, signal.SIG_DFL)
        assert main(["retrain", "x"]) == 130
        signal.signal(number, signal.SIG_IGN)
        assert main(["retrain", "x"]) == 2
    finally:
        signal.signal(number, before)
    assert "nothing came" in capsys.readouterr().err
