"""Trials that are not trained, as they are too slow for the budget: others like them are avoided."""

from __future__ import annotations

from typing import Any

import pytest

from toprung.search.strategy.strategy import Decision, Strategy, TrialRecord
from toprung.search.strategy.trials import FROM_TABLES, Trials
from toprung.trainables.trial.bounds import Bound, Bounds
from toprung.trainables.trial.report import EpochReport, Outcome

EPOCHS, TRIALS = 9, 48


def space(trial: Any) -> dict[str, Any]:
    return {
        "filters": trial.suggest_int("filters", 8, 512, log=True),
        "rate": trial.suggest_float("rate", 1e-4, 1e-1, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }


def searched(seed: int) -> tuple[Strategy, list[EpochReport], list[TrialRecord]]:
    """A search in which more filters score better, and those above 128 are not trained."""
    strategy = Strategy.for_space(space, EPOCHS, seed)
    reports, records = list[EpochReport](), list[TrialRecord]()
    for _ in range(TRIALS):
        proposal = strategy.ask()
        assert proposal is not None
        outcome = Outcome.STOPPED
        if proposal.config["filters"] <= 128:
            for epoch in range(1, EPOCHS + 1):
                value = 0.1 * proposal.config["filters"] ** 0.4 + 0.01 * epoch - proposal.config["dropout"]
                reports.append(EpochReport(proposal.trial_id, epoch, {"val_accuracy": value}))
                if strategy.report(reports[-1]) is Decision.STOP:
                    break
            else:
                outcome = Outcome.COMPLETED
        strategy.finish(proposal.trial_id, outcome)
        records.append(TrialRecord(*proposal, outcome, {}, len(reports), len(records)))
    return strategy, reports, records


@pytest.mark.parametrize("seed", range(3))
def test_proposals_stay_away_from_what_is_not_trained(seed: int) -> None:
    _, _, records = searched(seed)
    untrained = [float(str(record.config["filters"])) > 128 for record in records]
    # A third of random trials would not be trained, 8 of the last 24.
    assert sum(untrained[TRIALS // 2 :]) < 8


def test_a_search_with_untrained_trials_is_replayed_exactly() -> None:
    strategy, reports, records = searched(0)
    again = Strategy.for_space(space, EPOCHS, 0)
    again.replay(reports, records)
    assert [again.ask() for _ in range(3)] == [strategy.ask() for _ in range(3)]


def test_what_breaks_a_bound_of_the_model_is_learned_apart_and_a_lost_worker_says_nothing() -> None:
    trials = Trials(Bounds((Bound("parameter_count", greatest=1e6),)))
    for number in range(4):
        trials.add(number, {"filters": number}, None, FROM_TABLES)
    trials.bounded.add(0, {"parameter_count": 2e6})
    trials.bounded.add(1, {"parameter_count": 1e5})
    trials.record(2, EpochReport("t00002", 1, {"val_accuracy": 0.5}, 1.0, 1.0))
    for number, outcome in enumerate([Outcome.STOPPED] * 3 + [Outcome.PREEMPTED]):
        trials.end(number, outcome)
    assert trials.failed == {1: -1}, "it would keep the bound, and was not trained"
