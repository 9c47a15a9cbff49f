"""A trial with `patience_epochs` ends by its own curve, is never called complete, and keeps its best state."""

from __future__ import annotations

from typing import Any

from toprung.search.loop.loop_settings import LoopSettings
from toprung.search.loop.search_loop import SearchLoop
from toprung.search.loop.trial_state import ActiveTrial, ResumedState, TrialEnd
from toprung.search.strategy.strategy import Decision, Strategy, TrialRecord
from toprung.trainables.trial.messages import EpochResult
from toprung.trainables.trial.objectives import Objective
from toprung.trainables.trial.report import EpochReport, Outcome

MAX_EPOCHS = 9
ACCURACY = Objective.named("val_accuracy")
# The best before three worse epochs is that of epoch 3.
CURVE = [0.1, 0.3, 0.5, 0.4, 0.5, 0.45, 0.9, 0.9, 0.9]


def space(trial: Any) -> dict[str, Any]:
    return {"x": trial.suggest_float("x", 0.0, 1.0), "patience_epochs": 3}


def reports(count: int, trial_id: str = "t00000") -> list[EpochReport]:
    return [
        EpochReport(trial_id, epoch, {"val_accuracy": CURVE[epoch - 1]}, 1.0, float(epoch))
        for epoch in range(1, count + 1)
    ]


def new_strategy(**settings: Any) -> Strategy:
    return Strategy.for_space(space, MAX_EPOCHS, 0, max_trials=1, sampler="random", **settings)


def loop_of(facts: Any, strategy: Strategy, resumed: ResumedState | None = None) -> SearchLoop:
    return SearchLoop(strategy, facts, LoopSettings(ACCURACY, MAX_EPOCHS), resumed)


def test_it_ends_as_stopped_at_the_first_epoch_that_waited_long_enough(recorded_facts) -> None:
    facts = recorded_facts()
    loop = loop_of(facts, new_strategy())
    start = loop.next_trial()
    assert start is not None
    decisions = [loop.report(start.trial_id, EpochResult(report)) for report in reports(6, start.trial_id)]
    assert decisions == [Decision.KEEP] * 5 + [Decision.STOP]
    reason = "no better val_accuracy in 3 epochs; the best is that of epoch 3"
    assert facts.ends[start.trial_id] == TrialEnd(Outcome.STOPPED, reason, trained_fully=True)


def test_nobody_loses_patience_before_the_first_rung(recorded_facts) -> None:
    for first_rung, ended in [(1, 6), (6, 6), (7, MAX_EPOCHS), (MAX_EPOCHS, MAX_EPOCHS)]:
        facts = recorded_facts()
        loop = loop_of(facts, new_strategy(min_epochs=first_rung))
        start = loop.next_trial()
        assert start is not None
        curve = reports(MAX_EPOCHS, start.trial_id)
        decisions = [loop.report(start.trial_id, EpochResult(report)) for report in curve]
        assert decisions.index(Decision.STOP) + 1 == ended
        outcome = Outcome.COMPLETED if ended == MAX_EPOCHS else Outcome.STOPPED
        assert facts.ends[start.trial_id].outcome is outcome


def test_a_search_killed_before_it_wrote_the_end_ends_the_trial_alike(recorded_facts) -> None:
    strategy = new_strategy()
    facts = recorded_facts()
    loop = loop_of(facts, strategy)
    start = loop.next_trial()
    assert start is not None
    again = new_strategy()
    known = reports(6, start.trial_id)
    assert again.replay(known, [TrialRecord(start.trial_id, start.config, None)]) == {}
    resumed, later = ActiveTrial(start, list(known)), recorded_facts()
    loop = loop_of(later, again, ResumedState([resumed]))
    assert loop.next_trial() == start
    # Its newest state on storage may be an earlier one than the tables know of.
    assert loop.report(start.trial_id, EpochResult(known[3])) is Decision.STOP
    assert later.ends[start.trial_id].outcome is Outcome.STOPPED
    assert later.ends[start.trial_id].reason.startswith("no better val_accuracy in 3 epochs")


def test_a_trial_that_a_rung_stops_when_its_patience_ends_counts_as_fully_trained(recorded_facts) -> None:
    facts = recorded_facts()
    strategy = Strategy.for_space(space, MAX_EPOCHS, 0, max_trials=20, sampler="random", min_epochs=6)
    loop = loop_of(facts, strategy)
    for best in range(20, 0, -1):  # each trial worse than those before it
        start = loop.next_trial()
        assert start is not None
        for report in reports(6, start.trial_id):
            metrics = {"val_accuracy": report.metrics["val_accuracy"] * best}
            loop.report(start.trial_id, EpochResult(report._replace(metrics=metrics)))
    stopped_by_rung = [end for end in facts.ends.values() if "rung" in end.reason]
    assert stopped_by_rung and all(end.trained_fully for end in stopped_by_rung)
