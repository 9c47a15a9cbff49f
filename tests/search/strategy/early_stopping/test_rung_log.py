"""The log of the rungs: every decision in order, what passed, and how well each rung predicts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.search.strategy.strategy import Decision, RungEvent, Strategy, TrialRecord
from toprung.trainables.trial.report import EpochReport


def searched(
    values: list[float], variant: str = "stop", max_epochs: int = 9
) -> tuple[Strategy, list[EpochReport]]:
    """A search in which trial i has values[i] at every epoch, one trial after the other; paused ones go on."""

    def space(trial):
        return {"x": trial.suggest_float("x", 0.0, 1.0)}

    strategy = Strategy.for_space(
        space, max_epochs, 0, variant=variant, sampler="random", max_trials=len(values)
    )
    reports: list[EpochReport] = []
    epochs: dict[str, int] = {}
    while (proposal := strategy.ask()) is not None:
        name = proposal.trial_id
        decision = Decision.KEEP
        while decision is Decision.KEEP and epochs.get(name, 0) < max_epochs:
            epochs[name] = epochs.get(name, 0) + 1
            reports.append(EpochReport(name, epochs[name], {"val_accuracy": values[int(name[1:])]}))
            decision = strategy.report(reports[-1])
    return strategy, reports


def last_of(events: list[RungEvent], rung: int) -> RungEvent:
    return [event for event in events if event.decided.rung == rung][-1]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=25), st.sampled_from(["stop", "promote"]))
def test_what_passed_a_rung_is_what_the_next_one_may_receive(values: list[float], variant: str) -> None:
    strategy, _ = searched(values, variant)
    events = strategy.rung_events()
    assert {event.decided.rung for event in events} <= {1, 3, 9}
    for rung, above in ((1, 3), (3, 9)):
        arrived = sum(event.decided.rung == above and event.decided.arrived for event in events)
        if any(event.decided.rung == rung for event in events):
            kept = last_of(events, rung)
            assert arrived <= len(values) and 0 <= kept.passed <= kept.decided.peers
            if variant == "stop":
                assert kept.passed == arrived, "one trial after the other: whoever passed has arrived"


def test_a_paused_trial_that_goes_on_is_a_promotion_at_its_rung_also_in_a_replay() -> None:
    strategy, reports = searched([0.1, 0.2, 0.9, 0.3], "promote")
    events = strategy.rung_events()
    promoted = [one for one in events if one.decided.decision is Decision.PROMOTE]
    assert {one.number for one in promoted} == {2} and [one.decided.rung for one in promoted] == [1, 3]
    for one in promoted:
        before = events[: events.index(one)]
        assert [e.decided.decision for e in before if e.number == 2][-1] is Decision.PAUSE
        assert one.decided.score >= one.decided.cutoff and one.epoch == one.decided.rung + 1
        assert one.passed == 1 + sum(
            e.decided.decision is Decision.PROMOTE for e in before if e.decided.rung == one.decided.rung
        )
    again = Strategy.for_space(
        lambda trial: {"x": trial.suggest_float("x", 0.0, 1.0)},
        9,
        0,
        variant="promote",
        sampler="random",
        max_trials=4,
    )
    again.replay(
        reports, [TrialRecord(f"t{i:05d}", strategy.state(f"t{i:05d}").config, None) for i in range(4)]
    )
    assert again.rung_events() == events


@given(st.lists(st.floats(0, 1), min_size=3, max_size=20), st.integers(0, 60))
def test_a_replay_gives_the_same_events_and_says_which_are_new(values: list[float], written: int) -> None:
    strategy, _ = searched(values)
    again, _ = searched(values)
    assert strategy.rung_events() == again.rung_events()
    assert strategy.rung_events(written) == strategy.rung_events()[written:]
    assert len(
        {(event.number, event.decided.rung) for event in strategy.rung_events() if event.decided.arrived}
    ) == sum(event.decided.arrived for event in strategy.rung_events())


def test_a_rung_that_ranks_as_the_last_has_a_rank_correlation_of_one_with_it() -> None:
    values = np.linspace(0.0, 1.0, 40).tolist()  # each better than the one before: all pass
    events = searched(values)[0].rung_events()
    assert last_of(events, 1).next_correlation == pytest.approx(1.0)
    assert last_of(events, 1).last_correlation == pytest.approx(1.0)
    assert last_of(events, 9).next_correlation is None and last_of(events, 9).last_correlation is None
    assert events[0].next_correlation is None
