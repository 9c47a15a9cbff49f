"""`retrain.hours`: trials count by the epochs that a retraining can reach, and the winner trains as many as fit."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from width_runs import MadeTrial, count_images, width_run

from toprung.search.choice.choose import choose_winner
from toprung.search.choice.searched_run import SearchedRun
from toprung.search.runs.run_folder import RunFolder
from toprung.search.winner.train import winner_training
from toprung.spaces.errors import InputError

TRIALS_MADE = [
    MadeTrial([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.90], [90.0] * 8),
    MadeTrial([0.2, 0.4, 0.6, 0.7, 0.8, 0.89], [50.0] * 6),
    MadeTrial([0.3, 0.5, 0.6, 0.7, 0.7, 0.7, 0.7, 0.88], [1000.0] + [10.0] * 7),
    MadeTrial([0.45, 0.50], [1.0] * 2),
]
TRAIN, VAL = 400, 100
# A pass over train and validation, and one over train alone before it where the model is calibrated.
CALIBRATED, ALONE = 2 + VAL / TRAIN, 1 + VAL / TRAIN


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run of four trials, each worse and cheaper than the one before; t00002 has one epoch that was slow."""
    count_images(monkeypatch, TRAIN, VAL)
    return width_run(tmp_path, TRIALS_MADE)


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
        (2 * 10 * CALIBRATED + 1, [], "t00002", 2),
        (1 * 10 * CALIBRATED + 1, [], "t00003", 10),
    ],
    ids=[
        "as long as the trial",
        "longer",
        "without calibration",
        "two thirds of the trial",
        "less than that",
        "one slow epoch does not count",
        "what is left of a trial is still the best",
        "what is left of it is not",
    ],
)
def test_trials_count_by_the_epochs_that_fit_and_half_of_them_more_and_the_winner_trains_those_that_fit(
    run: RunFolder, secs: float, overrides: list[str], trial_id: str, epochs: int
) -> None:
    winner = choose_winner(within(run, secs, *overrides))
    assert (winner.trial_id, winner.train_epochs) == (trial_id, epochs)


def test_without_hours_the_curve_tells_the_epochs(run: RunFolder) -> None:
    winner = choose_winner(SearchedRun.read(run))
    assert (winner.trial_id, winner.train_epochs) == ("t00000", 8)


def test_where_not_one_epoch_fits_trials_count_by_their_first_one_and_lines_say_so(
    run: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "toprung")
    winner = choose_winner(SearchedRun.read(run, ["retrain.hours=0.000001"]))
    assert (winner.trial_id, winner.train_epochs) == ("t00003", 1)
    why = "best of 4 trials: val_accuracy 0.4500 at epoch 1, 0.1500 ahead of t00002 (0.3000 at epoch 1)"
    fitting = "less than one epoch"
    assert winner.why == f"{why}; retrain.hours 0.000001 pays for {fitting}"
    best = "t00000 scored 0.9000 at epoch 8"
    assert caplog.messages == [f"note: {best}, and retrain.hours 0.000001 pays for {fitting} of it"]


def test_a_trial_that_the_user_names_trains_as_long_as_fits_and_a_line_says_what_it_scored_later(
    run: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "toprung")
    winner = choose_winner(within(run, 3 * 90 * CALIBRATED + 1), "t00000")
    assert (winner.trial_id, winner.train_epochs) == ("t00000", 3)
    assert (
        "t00000 scored 0.9000 at epoch 8, and retrain.hours 0.169027777778 pays for 3 epochs of it"
        in caplog.text
    )


def test_a_trial_whose_seconds_are_not_recorded_counts_as_a_whole_and_trains_as_its_curve_tells(
    run: RunFolder,
) -> None:
    searched = within(run, 2 * 90 * CALIBRATED + 1)
    of_first = searched.epochs["trial_id"] == "t00000"
    unknown = searched.epochs.assign(epoch_secs=searched.epochs["epoch_secs"].mask(of_first))
    winner = choose_winner(replace(searched, epochs=unknown))
    assert (winner.trial_id, winner.train_epochs) == ("t00000", 8)
    assert winner.why.endswith("; its seconds are not recorded, so its curve tells the epochs")


def test_the_cheaper_trial_is_preferred_by_the_epochs_that_count(run: RunFolder) -> None:
    winner = choose_winner(within(run, 5 * 90 * CALIBRATED + 1, "retrain.prefer=fastest"))
    assert (winner.trial_id, winner.train_epochs) == ("t00002", 45)
    assert (winner.score, winner.epoch) == (0.88, 8) and "0.8800" in winner.why


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
    given = "retrain: epochs is 3 and hours 2, and one of them must be null"
    with pytest.raises(InputError, match=given):
        SearchedRun.read(run, ["retrain.epochs=3", "retrain.hours=2"])
