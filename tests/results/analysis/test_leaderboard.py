"""The board and the progress, from frames alone, at any moment of a search."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from toprung.results.analysis.leaderboard import Leader, leaderboard, progress
from toprung.results.tables.rows import rows_table
from toprung.results.tables.schema import VAL_ACCURACY, kinds_of, run_schemas
from toprung.spaces.errors import InputError
from toprung.trainables.trial.objectives import Objective, Objectives
from toprung.trainables.trial.report import Outcome

Frames = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def frames(search: Any) -> Frames:
    kinds = kinds_of(
        [{"learning_rate": 0.1, "optimizer": "x", "momentum": 0.1, "blocks": 1, "nesterov": True}]
    )
    schemas = run_schemas(kinds)
    proposals, epochs, trials = (
        rows_table(search.rows[name], schemas[name]).to_pandas() for name in search.rows
    )
    return proposals, epochs, trials


def order(board: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(board["trial_id"], board["outcome"], strict=True))


def test_the_best_is_first_and_its_value_carries_its_epoch(search: Any) -> None:
    search.trial([0.5, 0.625, 0.25])
    search.trial([0.75], Outcome.STOPPED)
    search.trial([0.25, 0.5], None)
    board = leaderboard(*frames(search), VAL_ACCURACY)
    assert board["rank"].tolist() == [1, 2, 3]
    assert order(board) == [("t00001", "STOPPED"), ("t00000", "COMPLETED"), ("t00002", "RUNNING")]
    shown = board[["val_accuracy", "best_epoch", "last_epoch", "train_secs"]].to_numpy(dtype=float).tolist()
    assert shown == [[0.75, 1, 1, 1.0], [0.625, 2, 3, 3.0], [0.5, 2, 2, 2.0]]
    assert board["config/optimizer"].tolist() == ["sgd", "adam", "adam"]


def test_smallest_first_when_the_mode_is_min(search: Any) -> None:
    for value in (0.25, 0.75, 0.5):
        search.trial([value])
    assert leaderboard(*frames(search), Objectives.named(["val_loss"]))["trial_id"].tolist() == [
        "t00001",
        "t00002",
        "t00000",
    ]


def test_equal_values_put_completed_trials_and_lower_numbers_first(search: Any) -> None:
    search.trial([0.5], Outcome.STOPPED)
    search.trial([0.25, 0.5])
    search.trial([0.5])
    search.trial([0.5], None)
    assert leaderboard(*frames(search), VAL_ACCURACY)["trial_id"].tolist() == [
        "t00001",
        "t00002",
        "t00000",
        "t00003",
    ]


def test_trials_that_cannot_win_come_after_those_that_may(search: Any) -> None:
    search.trial([0.75, math.nan], Outcome.DIVERGED)
    search.trial([math.nan], Outcome.DIVERGED)
    search.trial([math.inf, 0.25])
    search.trial([], Outcome.FAILED)
    board = leaderboard(*frames(search), VAL_ACCURACY)
    assert board["trial_id"].tolist() == ["t00002", "t00000", "t00001", "t00003"]
    assert board["val_accuracy"].iloc[:2].tolist() == [0.25, 0.75]
    assert board["val_accuracy"].iloc[2:].isna().all()
    assert board["last_epoch"].tolist() == [2, 2, 1, 0]


def test_objectives_beside_the_metric_stand_at_its_best_epoch_and_mark_the_front(search: Any) -> None:
    search.trial([0.5, 0.75])
    search.trial([0.5, 0.25], Outcome.STOPPED)
    search.trial([0.25])
    search.trial([1.0], Outcome.DIVERGED)
    proposals, epochs, trials = frames(search)
    epochs["latency_ms"] = epochs["trial_id"].map(
        {"t00000": 4.0, "t00001": 2.0, "t00002": 3.0, "t00003": 1.0}
    )
    board = leaderboard(
        proposals, epochs, trials, Objectives.named(["val_accuracy", "latency_ms"])
    ).set_index("trial_id")
    assert board["latency_ms"].to_dict() == {"t00000": 4.0, "t00001": 2.0, "t00002": 3.0, "t00003": 1.0}
    # The third is less accurate and slower than the second; the fourth cannot win.
    assert board["pareto"].to_dict() == {"t00000": True, "t00001": True, "t00002": False, "t00003": False}


def test_top_takes_the_first_rows(search: Any) -> None:
    for value in (0.25, 0.5, 0.75):
        search.trial([value])
    assert leaderboard(*frames(search), VAL_ACCURACY, top=2)["trial_id"].tolist() == ["t00002", "t00001"]


def test_an_unknown_metric_is_the_users_mistake(search: Any) -> None:
    search.trial([0.5])
    with pytest.raises(InputError, match=r"val_acc was not measured; must be one of val_accuracy, val_loss"):
        leaderboard(*frames(search), Objectives((Objective("val_acc", "max"),)))


def test_an_empty_search_has_an_empty_board(search: Any) -> None:
    assert leaderboard(*frames(search), VAL_ACCURACY).empty
    nothing = progress(*frames(search), VAL_ACCURACY.main)
    assert (nothing.proposed, nothing.running, nothing.ended, nothing.epochs, nothing.leader) == (
        0,
        0,
        0,
        0,
        None,
    )


def test_progress_counts_every_outcome_and_each_epoch_once(search: Any) -> None:
    search.trial([0.5, 0.75])
    search.trial([0.25], Outcome.STOPPED)
    search.trial([0.875, math.nan], Outcome.DIVERGED)
    search.trial([0.5], None)
    search.rows["epochs"].append({**search.rows["epochs"][0], "arrival_index": 99})  # repeated after a resume
    last = search.rows["epochs"][-2]["reported_at"]
    seen = progress(*frames(search), VAL_ACCURACY.main, now=last + timedelta(seconds=1), window_secs=3.5)
    assert (seen.proposed, seen.running, seen.completed, seen.stopped, seen.failed) == (4, 1, 1, 1, 1)
    assert seen.outcomes[Outcome.DIVERGED] == 1
    assert seen.epochs == 6
    assert seen.leader == Leader("t00000", 0.75, 2), "a trial that diverged does not lead"
    assert seen.epochs_per_sec == pytest.approx(3 / 3.5), "the reports of the last 3.5 seconds, one a second"


def test_a_dead_search_shows_no_epochs_a_second(search: Any) -> None:
    search.trial([0.5, 0.75], None)
    assert progress(*frames(search), VAL_ACCURACY.main).epochs_per_sec == 0.0
