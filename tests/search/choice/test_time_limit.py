"""`retrain.hours`: the winner trains as many epochs as fit, and what cannot be trained for long enough never wins."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from toprung.results.tables.rows import epoch_row, proposal_row, trial_row
from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS, run_schemas
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter
from toprung.search.choice.choose import choose_winner
from toprung.search.choice.searched_run import SearchedRun
from toprung.search.jobs.schema import Job
from toprung.search.runs.run_folder import RunFolder
from toprung.search.winner.train import winner_training
from toprung.spaces.errors import InputError
from toprung.trainables.trial.report import EpochReport, Outcome

TRIALS_MADE = [(0.90, 8, 90.0), (0.89, 6, 50.0), (0.88, 8, 10.0), (0.50, 2, 1.0)]
"""val_accuracy, epochs, and seconds of each of them, of t00000 to t00003."""
TRAIN, VAL = 400, 100
# Half a training of the images more where the model is calibrated, a quarter more for the validation images.
CALIBRATED, ALONE = 2 + VAL / TRAIN, 1 + VAL / TRAIN


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run of four trials, each worse, shorter or cheaper than the one before; t00002 has one epoch that was slow."""
    job = Job.from_dict({"name": "a", "data": "digits", "storage": {"path": str(tmp_path)}}, "job")
    folder = RunFolder(job.run_root)
    folder.claim(job).release()
    with RunWriter(folder.root, run_schemas({"width": "int"})) as writer:
        for number, (value, epochs, secs) in enumerate(TRIALS_MADE):
            name, config = f"t{number:05d}", {"width": number}
            took = [1000.0 if (number, epoch) == (2, 1) else secs for epoch in range(1, epochs + 1)]
            reports = [
                EpochReport(
                    name, epoch, {"val_accuracy": value, "val_loss": 1 - value}, each, sum(took[:epoch])
                )
                for epoch, each in enumerate(took, start=1)
            ]
            writer.append(PROPOSALS, proposal_row(name, config, number))
            for report in reports:
                writer.append(EPOCHS, epoch_row(report, report.epoch + 100 * number, "KEEP"))
            details = TrialDetails(seed=number, gpus=0.0, data_fingerprint="a" * 20)
            writer.append(TRIALS, trial_row(name, config, Outcome.COMPLETED, reports, details))
    dataset = SimpleNamespace(fingerprint="a" * 20, counts={"train": TRAIN, "val": VAL})
    monkeypatch.setattr(SearchedRun, "checked_dataset", lambda _: dataset)
    return folder


def within(run: RunFolder, secs: float, *overrides: str) -> SearchedRun:
    return SearchedRun.read(run, [f"retrain.hours={secs / 3600}", *overrides])


@pytest.mark.parametrize(
    ("secs", "overrides", "trial_id", "epochs"),
    [
        (8 * 90 * CALIBRATED + 1, [], "t00000", 8),
        (30 * 90 * CALIBRATED + 1, [], "t00000", 30),
        (8 * 90 * ALONE + 1, ["retrain.calibrate=false"], "t00000", 8),
        (6 * 90 * CALIBRATED + 1, [], "t00000", 6),
        (5 * 90 * CALIBRATED + 1, [], "t00001", 9),
        (3 * 50 * CALIBRATED + 1, [], "t00002", 15),
        (2 * 1 * CALIBRATED + 1e-6, [], "t00003", 2),
    ],
    ids=[
        "as long as the trial",
        "longer",
        "without calibration twice as long",
        "two thirds of the trial",
        "less than that",
        "one slow epoch",
        "a bad trial",
    ],
)
def test_the_best_trial_that_can_be_trained_for_two_thirds_wins_and_trains_as_many_epochs_as_fit(
    run: RunFolder, secs: float, overrides: list[str], trial_id: str, epochs: int
) -> None:
    winner = choose_winner(within(run, secs, *overrides))
    assert (winner.trial_id, winner.train_epochs) == (trial_id, epochs)


def test_without_hours_the_curve_tells_the_epochs(run: RunFolder) -> None:
    winner = choose_winner(SearchedRun.read(run))
    assert (winner.trial_id, winner.train_epochs) == ("t00000", 1), "its curve is flat"


def test_better_trials_that_are_left_out_are_told(run: RunFolder, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "toprung")
    winner = choose_winner(within(run, 1 * 90 * CALIBRATED + 1))
    assert winner.trial_id == "t00002" and winner.why.startswith("best of 2 trials: val_accuracy 0.8800")
    assert [line.partition(" leaves out ")[2] for line in caplog.messages] == [
        "t00000 (val_accuracy 0.9000 after 8 epochs): it pays for 1 epochs",
        "t00001 (val_accuracy 0.8900 after 6 epochs): it pays for 1 epochs",
    ]


def test_where_no_trial_can_be_trained_for_long_enough_the_best_one_trains_for_an_epoch(
    run: RunFolder,
) -> None:
    winner = choose_winner(within(run, 0.01))
    assert (winner.trial_id, winner.train_epochs) == ("t00000", 1)


def test_a_trial_that_the_user_names_is_taken_and_trains_as_long_as_fits(run: RunFolder) -> None:
    winner = choose_winner(within(run, 3 * 90 * CALIBRATED + 1), "t00000")
    assert (winner.trial_id, winner.train_epochs) == ("t00000", 3)


def test_the_cheaper_trial_is_preferred_among_those_that_fit(run: RunFolder) -> None:
    winner = choose_winner(within(run, 5 * 90 * CALIBRATED + 1, "retrain.prefer=fastest"))
    assert (winner.trial_id, winner.train_epochs) == ("t00002", 45)


@pytest.mark.parametrize(("setting", "schedule"), [("retrain.hours=1", 45), ("retrain.epochs=3", 27)])
def test_the_schedules_end_with_the_hours_and_not_with_fewer_epochs(
    run: RunFolder, setting: str, schedule: int
) -> None:
    searched = SearchedRun.read(run, [setting])
    winner = choose_winner(searched)
    epochs = 45 if "hours" in setting else 3
    work = winner_training(searched, winner, searched.checked_dataset(), epochs)
    assert (work.epochs, work.plan.schedule_epochs) == (epochs, schedule)


def test_epochs_and_hours_together_are_refused(run: RunFolder) -> None:
    given = r"retrain: epochs is 3 and hours 2, and only one of them can end it"
    with pytest.raises(InputError, match=given):
        SearchedRun.read(run, ["retrain.epochs=3", "retrain.hours=2"])
