"""Who wins within bounds, and what is said where nobody keeps them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from toprung.results.analysis.bounds_kept import bounds_line, keeps_bounds, violations
from toprung.results.analysis.incumbents import incumbents
from toprung.results.analysis.leaderboard import leaderboard, progress
from toprung.results.analysis.winner import pick_winner
from toprung.results.tables.rows import epoch_row, proposal_row, rows_table, trial_row
from toprung.results.tables.schema import run_schemas
from toprung.results.tables.trial_details import TrialDetails
from toprung.spaces.errors import InputError
from toprung.trainables.trial.bounds import Bound, Bounds
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.trial.report import EpochReport, Outcome

BOUNDS = Bounds((Bound("latency_ms", greatest=5.0), Bound("val_loss", greatest=1.0)))
OBJECTIVES = Objectives.named(["val_accuracy"], BOUNDS)


def frames(*curves: list[tuple[float, float]], latencies: list[float]) -> tuple[pd.DataFrame, ...]:
    """The tables of trials by the accuracy and the loss of each epoch; a trial without epochs was not trained."""
    rows: dict[str, list[Any]] = {"proposals": [], "epochs": [], "trials": []}
    for number, (curve, latency) in enumerate(zip(curves, latencies, strict=True)):
        name, config = f"t{number:05d}", {"x": float(number)}
        reports = [
            EpochReport(
                name, epoch, {"val_accuracy": accuracy, "val_loss": loss, "latency_ms": latency}, 1.0, epoch
            )
            for epoch, (accuracy, loss) in enumerate(curve, 1)
        ]
        outcome = Outcome.COMPLETED if reports else Outcome.STOPPED
        details = TrialDetails(seed=number, latency_ms=latency)
        rows["proposals"].append(proposal_row(name, config, number))
        rows["trials"].append(trial_row(name, config, outcome, reports, details, objectives=OBJECTIVES))
        for report in reports:
            rows["epochs"].append(epoch_row(report, len(rows["epochs"]), "KEEP", bounds=BOUNDS))
    schemas = run_schemas({"x": "float"}, OBJECTIVES)
    return tuple(rows_table(rows[table], schemas[table]).to_pandas() for table in rows)


def test_the_best_that_keeps_the_bounds_wins_at_an_epoch_that_keeps_them() -> None:
    proposals, epochs, trials = frames(
        [(0.5, 0.9), (0.9, 1.2)], [(0.8, 1.1)], [(0.6, 0.7), (0.55, 0.6)], [], latencies=[3.0, 3.0, 4.0, 9.0]
    )
    board = leaderboard(proposals, epochs, trials, OBJECTIVES)
    assert board["trial_id"].tolist() == ["t00002", "t00000", "t00001", "t00003"]
    assert board["val_accuracy"].tolist()[:3] == [0.6, 0.5, 0.8]
    assert board["violation"].round(6).tolist() == [0.0, 0.0, 0.1, 0.8]
    winner = pick_winner(trials, epochs, OBJECTIVES.main)
    assert (winner.trial_id, winner.score, winner.runner_up) == ("t00002", 0.6, "t00000")
    assert winner.why.startswith("best of 2 trials")
    leader = progress(proposals, epochs, trials, OBJECTIVES.main).leader
    assert leader is not None and (leader.trial_id, leader.epoch) == ("t00002", 1)
    best = incumbents(
        epochs.assign(reported_at=pd.Timestamp("2026-01-01", tz="UTC")), trials, OBJECTIVES.main
    )
    assert best["value"].tolist() == [0.5, 0.6, 0.6]
    assert bounds_line(board, BOUNDS) == "2 of 4 trials keep latency_ms at most 5, val_loss at most 1"
    with pytest.raises(InputError, match="must be a trial that ended well within search"):
        pick_winner(trials, epochs, OBJECTIVES.main, "t00001")


def test_a_winner_some_of_whose_epochs_break_a_bound_is_trained_to_the_best_of_the_others() -> None:
    curve = [(0.5, 0.9), (0.6, 0.8), (0.9, 1.2), (0.9, 1.2), (0.9, 1.2), (0.9, 1.3)]
    _, epochs, trials = frames(curve, latencies=[3.0])
    assert pick_winner(trials, epochs, OBJECTIVES.main).train_epochs == 2


def test_where_none_keeps_the_bounds_the_nearest_is_named() -> None:
    proposals, epochs, trials = frames([], [(0.9, 1.5)], [], latencies=[6.0, 4.0, 20.0])
    board = leaderboard(proposals, epochs, trials, OBJECTIVES)
    assert bounds_line(board, BOUNDS) == (
        "none of 3 trials keeps latency_ms at most 5, val_loss at most 1; "
        "the nearest is t00000: latency_ms 6 (20.0% beyond 5)"
    )
    with pytest.raises(InputError, match=r"the nearest is t00000, 20\.0% beyond them"):
        pick_winner(trials, epochs, OBJECTIVES.main)
    assert progress(proposals, epochs, trials, OBJECTIVES.main).leader is None
    assert incumbents(epochs, trials, OBJECTIVES.main).empty


def test_without_bounds_there_is_nothing_to_say() -> None:
    proposals, epochs, trials = frames([(0.5, 0.9)], latencies=[3.0])
    plain = Objectives.named(["val_accuracy"])
    board = leaderboard(proposals, epochs.drop(columns="violation"), trials.drop(columns="violation"), plain)
    assert "violation" not in board and bounds_line(board, plain.bounds) is None
    assert keeps_bounds(board).all() and violations(board).isna().all()
    assert bounds_line(board.head(0), BOUNDS) is None
