"""A strategy in its search loop, for the simulator: budgets, patience and failures end what they end in a search."""

from __future__ import annotations

import math
from typing import Any

import pytest

from toprung.search.jobs.schema import Job
from toprung.search.preparation.prepare import new_strategy, prepared_space
from toprung.search.simulation.budgeted_policy import BudgetedPolicy
from toprung.search.strategy.strategy import Decision
from toprung.trainables.trial.report import EpochReport, Outcome

EPOCHS = 9


def policy_of(gpus: float = 1.0, space: dict[str, Any] | None = None, **search: Any) -> BudgetedPolicy:
    content = {
        "name": "job",
        "data": "digits",
        "space": space or {"name": "cnn"},
        "search": {"max_epochs": EPOCHS, "trials": 20, "sampler": "random", **search},
    }
    job = Job.from_dict(content, "job")
    return BudgetedPolicy(job, new_strategy(job, prepared_space(job)), gpus)


def report(trial_id: str, epoch: int, value: float, epoch_secs: float = 1.0) -> EpochReport:
    return EpochReport(trial_id, epoch, {"val_accuracy": value}, epoch_secs, epoch * epoch_secs)


def train(policy: BudgetedPolicy, value: float, epoch_secs: float = 1.0) -> list[Decision]:
    """The decisions on a new trial of constant value, up to its end."""
    proposal = policy.ask()
    assert proposal is not None
    decisions = []
    for epoch in range(1, EPOCHS + 1):
        decisions.append(policy.report(report(proposal.trial_id, epoch, value, epoch_secs)))
        if decisions[-1] is not Decision.KEEP:
            break
    return decisions


def test_it_optimizes_what_the_job_optimizes_at_the_rungs_of_the_strategy() -> None:
    policy = policy_of(metric="val_loss", min_epochs=2)
    assert policy.objectives.main.metric == "val_loss" and policy.objectives.main.mode == "min"
    assert policy.rung_epochs == (2, 6, 9)


def test_a_completed_trial_is_kept_at_its_last_epoch_unless_that_diverged() -> None:
    policy = policy_of()
    assert train(policy, 0.5) == [Decision.KEEP] * EPOCHS
    diverging = policy.ask()
    assert diverging is not None
    for epoch in range(1, EPOCHS):
        policy.report(report(diverging.trial_id, epoch, 0.5))
    assert policy.report(report(diverging.trial_id, EPOCHS, math.nan)) is Decision.STOP


def test_the_losers_of_a_rung_are_stopped_as_the_strategy_decides() -> None:
    policy = policy_of()
    lengths = [len(train(policy, 1.0 - number / 10)) for number in range(4)]
    assert lengths == [EPOCHS, EPOCHS, 1, 1], "from the third result on a rung keeps its best third"


@pytest.mark.parametrize(
    ("budget", "gpus", "epoch_secs"),
    [({"epochs": 12}, 1.0, 1.0), ({"gpu_hours": 12 / 3600}, 1.0, 1.0), ({"gpu_hours": 12 / 3600}, 0.5, 2.0)],
    ids=["epochs", "GPU hours", "GPU hours of half a GPU"],
)
def test_a_spent_budget_stops_the_running_trial_and_proposes_no_other(
    budget: dict[str, float], gpus: float, epoch_secs: float
) -> None:
    policy = policy_of(gpus, budgets=budget)
    assert train(policy, 0.5, epoch_secs) == [Decision.KEEP] * EPOCHS
    assert train(policy, 0.6, epoch_secs) == [Decision.KEEP, Decision.KEEP, Decision.STOP]
    assert policy.ask() is None


def test_a_reached_target_ends_the_search() -> None:
    policy = policy_of(budgets={"target": 0.9})
    train(policy, 0.5)
    assert train(policy, 0.95) == [Decision.STOP]
    assert policy.ask() is None


def test_wall_clock_hours_are_left_to_the_simulator() -> None:
    policy = policy_of(budgets={"wall_clock_hours": 1e-9})
    assert train(policy, 0.5, epoch_secs=3600.0) == [Decision.KEEP] * EPOCHS
    assert policy.ask() is not None


def test_a_trial_without_improvement_ends_after_its_patience() -> None:
    policy = policy_of(space={"name": "cnn", "fixed": {"patience_epochs": 3}})
    assert train(policy, 0.5) == [Decision.KEEP] * 3 + [Decision.STOP], "the best epoch is the first"


def test_a_paused_trial_comes_back_under_its_own_id_with_its_configuration() -> None:
    policy = policy_of(variant="promote")
    proposals = [policy.ask() for _ in range(3)]
    for number, proposal in enumerate(proposals):
        assert proposal is not None
        assert policy.report(report(proposal.trial_id, 1, number / 10)) is Decision.PAUSE
    assert policy.ask() == proposals[2]


def test_a_search_whose_first_trials_all_fail_is_given_up() -> None:
    policy = policy_of()
    failed = 0
    while (proposal := policy.ask()) is not None:
        policy.finish(proposal.trial_id, Outcome.FAILED)
        failed += 1
    assert failed == 5
