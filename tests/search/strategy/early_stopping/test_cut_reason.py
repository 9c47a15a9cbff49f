"""Why a trial was cut, in words that are true of its values."""

from __future__ import annotations

import pytest

from toprung.search.strategy.early_stopping.asha import Decision, RungDecision
from toprung.search.strategy.early_stopping.cut_reason import cut_reason
from toprung.trainables.trial.objectives import Objectives


@pytest.mark.parametrize(
    ("score", "arrived", "reason"),
    [
        (0.95, True, "cut at rung 3: 0.95 < 0.9554 (top 1/3 of 4)"),
        (0.9554, True, "cut at rung 3: 0.9554 = 0.9554 of an earlier trial (top 1/3 of 4)"),
        (0.95539, True, "cut at rung 3: 0.95539 < 0.9554 (top 1/3 of 4)"),
        (0.95, False, "cut after rung 3: 0.95 < 0.9554 (top 1/3 of 4)"),
    ],
    ids=["below", "a tie", "hardly below", "by a later report"],
)
def test_of_one_objective_it_compares_the_value_with_the_lowest_kept_one(
    score: float, arrived: bool, reason: str
) -> None:
    decision = RungDecision(Decision.STOP, 3, score, 0.9554, 4, arrived)
    assert cut_reason(Objectives.named(["val_accuracy"]), decision, 3) == reason


def test_a_value_to_minimize_is_shown_with_its_own_sign() -> None:
    decision = RungDecision(Decision.STOP, 1, -3.0, -1.0, 3, True)
    assert cut_reason(Objectives.named(["val_loss"]), decision, 3) == "cut at rung 1: 3 > 1 (top 1/3 of 3)"


@pytest.mark.parametrize(
    ("score", "cutoff", "reason"),
    [
        (-4.0, -2.0, "cut at rung 1: dominated by 4 trials, more than 2 (top 1/3 of 6)"),
        (-1.0, -0.0, "cut at rung 1: dominated by 1 trial, more than 0 (top 1/3 of 6)"),
        (-2.0, -2.0, "cut at rung 1: dominated by 2 trials, as many as an earlier trial (top 1/3 of 6)"),
    ],
    ids=["above", "one", "a tie"],
)
def test_of_several_objectives_it_counts_the_trials_that_dominate(
    score: float, cutoff: float, reason: str
) -> None:
    decision = RungDecision(Decision.STOP, 1, score, cutoff, 6, True)
    assert cut_reason(Objectives.named(["val_accuracy", "latency_ms"]), decision, 3) == reason
