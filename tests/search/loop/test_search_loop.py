"""The loop joins strategy and workers: what is recorded, when trials end and why, how a killed search continues."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from toprung.search.loop.budgets import BudgetLimits
from toprung.search.loop.loop_settings import LoopSettings
from toprung.search.loop.search_loop import SearchLoop
from toprung.search.loop.trial_state import ActiveTrial, ResumedState, TrialEnd
from toprung.search.strategy.strategy import Decision, Strategy, TrialRecord
from toprung.trainables.trial.epoch_limit import EpochLimit
from toprung.trainables.trial.execution import ExecutionRecord
from toprung.trainables.trial.failures import catch_failure, last_exception_line
from toprung.trainables.trial.messages import EpochResult, TrialStart
from toprung.trainables.trial.objectives import Objective
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.trial.resource_usage import ResourceUsage
from toprung.trainables.trial.trial_seed import trial_seed

MAX_EPOCHS = 9


def space(trial: Any) -> dict[str, Any]:
    return {"x": trial.suggest_float("x", 0.0, 1.0)}


def loop_of(
    facts: Any, strategy: Strategy | None = None, resumed: ResumedState | None = None, **settings: Any
) -> SearchLoop:
    return SearchLoop(strategy or new_strategy(), facts, settings_of(**settings), resumed)


def settings_of(**changed: Any) -> LoopSettings:
    return LoopSettings(**{"objective": Objective.named("val_accuracy"), "max_epochs": MAX_EPOCHS, **changed})


def new_strategy(trials: int = 12, **settings: Any) -> Strategy:
    return Strategy.for_space(space, MAX_EPOCHS, 0, max_trials=trials, sampler="random", **settings)


def result(start: TrialStart, epoch: int, value: float | None = None) -> EpochResult:
    value = float(start.config["x"]) * epoch if value is None else value
    return EpochResult(EpochReport(start.trial_id, epoch, {"val_accuracy": value}, 1.0, float(epoch)))


def run_trial(loop: SearchLoop, start: TrialStart, first_epoch: int = 1) -> None:
    for epoch in range(first_epoch, MAX_EPOCHS + 1):
        if loop.report(start.trial_id, result(start, epoch)) is not Decision.KEEP:
            return


def run_all(loop: SearchLoop) -> None:
    while (start := loop.next_trial()) is not None:
        run_trial(loop, start)


def test_a_search_ends_with_every_trial_accounted_for(recorded_facts) -> None:
    facts = recorded_facts()
    loop = loop_of(facts)
    run_all(loop)
    assert loop.finished and loop.running == 0
    assert sorted(facts.ends) == sorted(facts.proposed_ids) == [f"t{n:05d}" for n in range(12)]
    assert sum(loop.outcomes.values()) == 12
    for trial_id, end in facts.ends.items():
        last = max(report.epoch for report in facts.reports if report.trial_id == trial_id)
        is_complete = last == MAX_EPOCHS
        assert (end.outcome is Outcome.COMPLETED) == end.trained_fully == is_complete, (
            "a stopped trial is never called complete"
        )


def test_a_slow_trial_that_cannot_end_in_the_hours_that_are_left_is_stopped(recorded_facts) -> None:
    facts = recorded_facts()
    strategy = new_strategy(min_epochs=MAX_EPOCHS)
    loop = loop_of(facts, strategy, limits=BudgetLimits(gpu_hours=100 / 3600), gpus=1.0)
    starts = [loop.next_trial() for _ in range(5)]
    for start, epoch_secs in zip(starts, [1.0, 1.0, 1.0, 2.0, 8.0], strict=True):
        assert start is not None
        decisions = [
            loop.report(start.trial_id, EpochResult(EpochReport(
                start.trial_id, epoch, {"val_accuracy": 0.5}, epoch_secs, epoch * epoch_secs)))
            for epoch in (1, 2)
        ]  # fmt: skip
        # 10 s are used before the last one, and 16 s by it: 7 epochs of 8 s fit into 74 s, and of 11 s they do not.
        assert decisions[-1] is Decision.KEEP
    start = loop.next_trial()
    assert start is not None
    assert start.epoch_limit == EpochLimit(usual_secs=1.0, timed_trials=5, secs_left=74.0), (
        "its worker may tell before the first"
    )
    report = EpochReport(start.trial_id, 1, {"val_accuracy": 0.5}, 11.0, 11.0)
    assert loop.report(start.trial_id, EpochResult(report)) is Decision.STOP
    end = facts.ends[start.trial_id]
    assert end.outcome is Outcome.STOPPED
    assert end.reason == (
        "an epoch takes 11 s, 11.0 times the median; its 8 epochs cannot end in the 63 s that are left"
    )


def test_a_trial_that_its_worker_finds_too_slow_ends_without_an_epoch_and_others_follow(
    recorded_facts,
) -> None:
    facts = recorded_facts()
    loop = loop_of(facts, limits=BudgetLimits(gpu_hours=1.0), gpus=1.0)
    start = loop.next_trial()
    assert start is not None and start.epoch_limit is None, "no other was timed"
    result = EpochResult(None, failure=Outcome.STOPPED, reason="not trained: it is too slow")
    assert loop.report(start.trial_id, result) is Decision.STOP
    assert facts.ends == {start.trial_id: TrialEnd(Outcome.STOPPED, "not trained: it is too slow")}
    assert loop.abort_reason is None and loop.usage.epochs == 0
    run_all(loop)
    assert len(facts.ends) == len(facts.proposed_ids)


def test_the_leader_is_the_best_report_with_its_epoch(recorded_facts) -> None:
    facts = recorded_facts()
    loop = loop_of(facts)
    run_all(loop)
    best = max(facts.reports, key=lambda report: report.metrics["val_accuracy"])
    assert loop.leader == (best.trial_id, best.epoch, best.metrics["val_accuracy"])


def test_what_the_steps_of_a_trial_took_adds_up(recorded_facts) -> None:
    facts = recorded_facts()
    loop = loop_of(facts)
    start = loop.next_trial()
    assert start is not None
    for epoch, value in ((1, 0.5), (2, math.nan)):
        costs = ResourceUsage(build_secs=2.0 - epoch, idle_secs=0.25, rss_bytes=epoch)
        computed = ExecutionRecord("cpu", "float32", xla=False, steps_per_call=epoch)
        measured = replace(result(start, epoch, value), resource_usage=costs, execution=computed)
        loop.report(start.trial_id, replace(measured, failed_allocation_bytes=7 if epoch == 1 else None))
    trial = facts.trials[start.trial_id]
    assert trial.execution == computed, "the newest counts"
    assert trial.failed_allocation_bytes == 7, "a retry that fits does not hide what did not"
    usage = trial.resource_usage
    assert (usage.build_secs, usage.idle_secs, usage.rss_bytes) == (1.0, 0.5, 2)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_ends_the_trial_as_diverged(recorded_facts, value: float) -> None:
    facts = recorded_facts()
    loop = loop_of(facts)
    start = loop.next_trial()
    assert start is not None
    assert loop.report(start.trial_id, result(start, 1, value)) is Decision.STOP
    assert facts.outcomes[start.trial_id] is Outcome.DIVERGED
    assert loop.leader is None


def test_a_failed_trial_is_recorded_and_the_search_goes_on(recorded_facts) -> None:
    facts = recorded_facts()
    loop = loop_of(facts)
    start = loop.next_trial()
    assert start is not None
    loop.report(start.trial_id, EpochResult(None, failure=Outcome.OOM, error="Traceback\nno room for 3 GiB"))
    error = "Traceback\nno room for 3 GiB"
    assert facts.ends[start.trial_id] == TrialEnd(Outcome.OOM, "no room for 3 GiB", error)
    run_all(loop)
    assert len(facts.ends) == 12


def test_a_search_in_which_nothing_works_is_aborted_with_the_reason(recorded_facts) -> None:
    facts = recorded_facts()
    loop = loop_of(facts)
    while (start := loop.next_trial()) is not None:
        loop.report(start.trial_id, EpochResult(None, failure=Outcome.FAILED, error="KeyError: 'filters'"))
    assert loop.finished
    assert len(facts.ends) == 5
    assert "KeyError: 'filters'" in str(loop.abort_reason)


def test_the_reason_of_a_failure_is_its_exception_with_the_whole_message_on_one_line() -> None:
    def build() -> None:
        raise ValueError("my\n  own\nerror")

    assert last_exception_line(catch_failure(build).error) == "ValueError: my own error"
    assert last_exception_line("cut off\nwithin its message\n") == "within its message"
    assert last_exception_line("cut off, Arguments received:\n  • training=None\n") == "• training=None"
    assert last_exception_line("") == "no message"


def test_a_lost_worker_ends_its_trial_as_preempted(recorded_facts) -> None:
    facts = recorded_facts()
    loop = loop_of(facts)
    start = loop.next_trial()
    assert start is not None
    loop.report(start.trial_id, result(start, 1))
    loop.lose(start.trial_id, "SIGKILL")
    assert facts.outcomes[start.trial_id] is Outcome.PREEMPTED
    assert loop.report(start.trial_id, result(start, 2)) is Decision.STOP


def test_an_epoch_trained_again_after_a_restart_is_recorded_once(recorded_facts) -> None:
    facts = recorded_facts()
    loop = loop_of(facts)
    start = loop.next_trial()
    assert start is not None
    for epoch in (1, 2, 1, 2, 3):
        loop.report(start.trial_id, result(start, epoch))
    assert [report.epoch for report in facts.reports] == [1, 2, 3]
    assert loop.usage.epochs == 3


def test_reports_that_only_the_checkpoint_remembers_are_recorded(recorded_facts) -> None:
    facts = recorded_facts()
    loop = loop_of(facts)
    start = loop.next_trial()
    assert start is not None
    known = [result(start, epoch).report for epoch in (1, 2, 3)]
    newest = EpochResult(known[2], history=(known[0], known[1]))  # type: ignore[arg-type]
    loop.report(start.trial_id, newest)
    assert [report.epoch for report in facts.reports] == [1, 2, 3]


def test_a_reached_budget_starts_nothing_and_lets_nearly_done_trials_finish(recorded_facts) -> None:
    facts = recorded_facts()
    strategy = Strategy.for_space(space, 30, 0, sampler="random", max_trials=5)
    loop = loop_of(facts, strategy, max_epochs=30, limits=BudgetLimits(epochs=32))
    nearly, far = loop.next_trial(), loop.next_trial()
    assert nearly is not None and far is not None
    for epoch in range(1, 30):
        assert loop.report(nearly.trial_id, result(nearly, epoch)) is Decision.KEEP
    assert loop.report(far.trial_id, result(far, 1)) is Decision.KEEP
    assert loop.report(far.trial_id, result(far, 2)) is Decision.KEEP
    assert loop.report(far.trial_id, result(far, 3)) is Decision.STOP
    assert facts.ends[far.trial_id] == TrialEnd(Outcome.STOPPED, "budget of 32 epochs is spent")
    assert loop.next_trial() is None and loop.finished
    assert loop.report(nearly.trial_id, result(nearly, 30)) is Decision.STOP
    assert facts.outcomes[nearly.trial_id] is Outcome.COMPLETED


def test_wall_clock_is_read_from_the_clock_given(recorded_facts) -> None:
    now = [0.0]
    settings = settings_of(limits=BudgetLimits(wall_clock_hours=1))
    loop = SearchLoop(new_strategy(), recorded_facts(), settings, clock=lambda: now[0])
    assert loop.next_trial() is not None
    now[0] = 3600.0
    assert loop.next_trial() is None
    assert "wall clock" in str(loop.stop_reason)


@pytest.mark.parametrize("killed_after", range(0, 40, 3))
def test_a_search_killed_anywhere_goes_on_as_if_it_had_not_been(recorded_facts, killed_after: int) -> None:
    unbroken = recorded_facts()
    run_all(loop_of(unbroken, new_strategy(10)))

    first = recorded_facts()
    strategy = new_strategy(10)
    loop = loop_of(first, strategy)
    epochs = 0
    while epochs < killed_after and (start := loop.next_trial()) is not None:
        for epoch in range(1, MAX_EPOCHS + 1):
            epochs += 1
            decision = loop.report(start.trial_id, result(start, epoch))
            if decision is not Decision.KEEP or epochs >= killed_after:
                break

    second = recorded_facts(
        list(first.proposed_ids), list(first.reports), dict(first.ends), dict(first.configs)
    )
    rebuilt = new_strategy(10)
    records = [
        TrialRecord(name, first.configs[name], first.outcomes.get(name)) for name in first.proposed_ids
    ]
    already_decided = rebuilt.replay(first.reports, records)
    unfinished = [
        ActiveTrial(
            TrialStart(name, int(name[1:]), trial_seed(0, int(name[1:])), first.configs[name]),
            [report for report in first.reports if report.trial_id == name],
        )
        for name in first.proposed_ids
        if name not in first.ends
    ]
    loop = loop_of(second, rebuilt, ResumedState(unfinished, already_decided))
    while (start := loop.next_trial()) is not None:
        known = [report.epoch for report in second.reports if report.trial_id == start.trial_id]
        run_trial(loop, start, first_epoch=max(known, default=1))
    assert second.outcomes == unbroken.outcomes
    assert second.reports == unbroken.reports
    assert second.configs == unbroken.configs


def test_paused_trials_come_again_under_their_id_or_end_when_the_search_does(recorded_facts) -> None:
    facts = recorded_facts()
    loop = loop_of(facts, new_strategy(9, variant="promote"))
    starts: list[str] = []
    epoch_of: dict[str, int] = {}
    while (start := loop.next_trial()) is not None:
        starts.append(start.trial_id)
        for epoch in range(epoch_of.get(start.trial_id, 0) + 1, MAX_EPOCHS + 1):
            epoch_of[start.trial_id] = epoch
            if loop.report(start.trial_id, result(start, epoch)) is not Decision.KEEP:
                break
    loop.close()
    assert loop.finished
    assert set(facts.ends) == {f"t{n:05d}" for n in range(9)}
    assert len(starts) > len(set(starts)), "the promoted were started again"
    assert facts.proposed_ids == sorted(set(starts)), "and proposed once"
    assert set(facts.outcomes.values()) == {Outcome.COMPLETED, Outcome.STOPPED}


def test_a_trial_proposed_early_that_never_begins_leaves_no_trace(recorded_facts) -> None:
    facts = recorded_facts()
    loop = loop_of(facts, limits=BudgetLimits(epochs=1))
    first = loop.next_trial()
    assert first is not None
    early = loop.propose()
    assert early is not None and early.trial_id == "t00001"
    assert loop.running == 1
    loop.report(first.trial_id, result(first, 1))
    loop.close()
    assert facts.proposed_ids == list(facts.ends) == [first.trial_id]
    rebuilt = new_strategy()
    outcome = facts.outcomes[first.trial_id]
    rebuilt.replay(facts.reports, [TrialRecord(first.trial_id, first.config, outcome)])
    again = loop_of(recorded_facts(), rebuilt).next_trial()
    assert again is not None and again.trial_id == early.trial_id, "a greater budget finds it again"


def test_after_a_restart_paused_trials_wait_for_their_promotion(recorded_facts) -> None:
    first = recorded_facts()
    loop = loop_of(first, new_strategy(9, variant="promote"))
    paused = loop.next_trial()
    assert paused is not None
    assert loop.report(paused.trial_id, result(paused, 1)) is Decision.PAUSE
    rebuilt = new_strategy(9, variant="promote")
    rebuilt.replay(first.reports, [TrialRecord(paused.trial_id, paused.config, None)])
    again = loop_of(recorded_facts(), rebuilt, ResumedState([ActiveTrial(paused, list(first.reports))]))
    following = again.next_trial()
    assert following is not None and following.trial_id == "t00001"
    again.close()
    assert again.outcomes[Outcome.STOPPED] == 2


def test_trials_of_a_search_have_seeds_of_their_own() -> None:
    assert len({trial_seed(3, number) for number in range(10_000)}) == 10_000
