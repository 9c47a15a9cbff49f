"""The winner is chosen by validation, from finite values, and says why."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.results.analysis.winner import pick_winner, rank_trials
from toprung.results.tables.rows import epoch_row, rows_table, trial_row
from toprung.results.tables.schema import kinds_of, run_schemas
from toprung.results.tables.trial_details import TrialDetails
from toprung.spaces.errors import InputError
from toprung.trainables.trial.objectives import Objective, Objectives
from toprung.trainables.trial.report import EpochReport, Outcome

if TYPE_CHECKING:
    import pandas as pd

ACCURACY = Objective("val_accuracy", "max")
CONFIG = {"learning_rate": 0.2, "optimizer": "sgd", "momentum": 0.9, "blocks": 3, "nesterov": True}


def frames(rows: dict[str, list[dict[str, Any]]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    schemas = run_schemas(kinds_of([CONFIG]))
    trials, epochs = (rows_table(rows[name], schemas[name]).to_pandas() for name in ("trials", "epochs"))
    return trials, epochs


def test_the_winner_has_its_configuration_value_epoch_and_runner_up(search: Any) -> None:
    search.trial([0.5, 0.625])
    search.trial([0.5, 0.75, 0.25])
    search.trial([0.875], None)
    winner = pick_winner(*frames(search.rows), ACCURACY)
    assert winner.trial_id == "t00001", "a trial that has not ended may still diverge"
    assert winner.config == CONFIG
    assert (winner.seed, winner.score, winner.epoch, winner.last_epoch) == (1, 0.75, 2, 3)
    assert (winner.runner_up, winner.runner_up_score) == ("t00000", 0.625)
    assert winner.why == (
        "best of 2 trials: val_accuracy 0.7500 at epoch 2, 0.1250 ahead of t00000 (0.6250 at epoch 2)"
    )


def test_a_winner_with_the_value_of_the_next_is_level_with_it(search: Any) -> None:
    search.trial([0.75])
    search.trial([0.75])
    assert pick_winner(*frames(search.rows), ACCURACY).why.endswith(", level with t00001 (0.7500 at epoch 1)")


@pytest.mark.parametrize("outcome", [Outcome.DIVERGED, Outcome.OOM, Outcome.FAILED])
def test_what_a_retraining_would_meet_again_cannot_win(search: Any, outcome: Outcome) -> None:
    search.trial([0.875], outcome)
    search.trial([0.5], Outcome.STOPPED)
    winner = pick_winner(*frames(search.rows), ACCURACY)
    assert (winner.trial_id, winner.outcome, winner.runner_up) == ("t00001", Outcome.STOPPED, None)
    assert winner.why.endswith("the only trial with a finite value")


def test_a_user_may_choose_another_trial_that_ended_well(search: Any) -> None:
    search.trial([0.5, 0.625])
    search.trial([0.5, 0.75, 0.25])
    search.trial([0.875], Outcome.DIVERGED)
    winner = pick_winner(*frames(search.rows), ACCURACY, trial_id="t00000")
    assert (winner.trial_id, winner.score, winner.epoch, winner.runner_up) == ("t00000", 0.625, 2, "t00001")
    assert winner.why == "chosen by its name, rank 2 of 2 trials: val_accuracy 0.6250 at epoch 2"
    with pytest.raises(
        InputError, match="--trial: 't00002'; must be a trial that ended well, such as t00001"
    ):
        pick_winner(*frames(search.rows), ACCURACY, trial_id="t00002")


def test_infinity_never_wins(search: Any) -> None:
    search.trial([math.inf, 0.25])
    search.trial([0.5])
    assert pick_winner(*frames(search.rows), ACCURACY).trial_id == "t00001"


def test_nothing_to_choose_from_says_how_the_trials_ended(search: Any) -> None:
    with pytest.raises(InputError, match="none has ended"):
        pick_winner(*frames(search.rows), ACCURACY)
    search.trial([math.nan], Outcome.DIVERGED)
    search.trial([], Outcome.FAILED)
    with pytest.raises(InputError, match=r"no trial has a finite val_accuracy .*\(1 DIVERGED, 1 FAILED\)"):
        pick_winner(*frames(search.rows), ACCURACY)


VALUE = st.one_of(st.floats(), st.sampled_from([0.25, 0.5]))
TRIALS = st.lists(st.tuples(st.lists(VALUE, max_size=4), st.sampled_from(list(Outcome))), max_size=5)


@given(TRIALS, st.sampled_from(["min", "max"]))
def test_no_eligible_trial_beats_the_winner(trials: list[tuple[list[float], Outcome]], mode: str) -> None:
    objectives = Objectives((Objective("val_accuracy", mode),))
    rows: dict[str, list[dict[str, Any]]] = {"trials": [], "epochs": []}
    for number, (values, outcome) in enumerate(trials):
        trial_id = f"t{number:05d}"
        reports = [EpochReport(trial_id, e, {"val_accuracy": v}) for e, v in enumerate(values, start=1)]
        rows["epochs"] += [epoch_row(report, 0, "keep") for report in reports]
        rows["trials"].append(
            trial_row(trial_id, CONFIG, outcome, reports, TrialDetails(), objectives=objectives)
        )
    may_win = {Outcome.COMPLETED, Outcome.STOPPED, Outcome.PREEMPTED, Outcome.TIMEOUT}
    finite = [v for values, outcome in trials for v in values if outcome in may_win and math.isfinite(v)]
    if not finite:
        assert rank_trials(*frames(rows), objectives.main).empty
        return
    winner = pick_winner(*frames(rows), objectives.main)
    assert winner.score == (min if mode == "min" else max)(finite)
    assert trials[int(winner.trial_id[1:])][0][winner.epoch - 1] == winner.score
    assert frames(rows)[0]["best_val_accuracy"].iloc[int(winner.trial_id[1:])] == winner.score


def test_a_curve_that_a_repair_left_gaps_in_is_trained_to_its_best_epoch(search: Any) -> None:
    search.trial([0.1, 0.2, 0.3, 0.9, 0.2, 0.1])
    trials, epochs = frames(search.rows)
    assert pick_winner(trials, epochs[epochs["epoch"].isin([4, 6])], ACCURACY).train_epochs == 4
