"""What is put off for a waiting worker reaches the observer later, all of it and in order."""

from __future__ import annotations

import pytest

from toprung.search.loop.deferred_observer import DeferredObserver
from toprung.search.loop.trial_state import ActiveTrial, TrialEnd
from toprung.search.strategy.strategy import Decision
from toprung.trainables.trial.messages import TrialStart
from toprung.trainables.trial.report import EpochReport, Outcome

START = TrialStart("t00000", 0, 0, {"x": 1})


def tell_all(observer: DeferredObserver) -> None:
    trial = ActiveTrial(START)
    observer.proposed(START, "first")
    observer.reported(trial, EpochReport("t00000", 1), Decision.KEEP)
    observer.ended(trial, TrialEnd(Outcome.STOPPED, "why"))


def test_nothing_is_passed_on_before_it_is_asked_for_and_nothing_twice(recorded_facts) -> None:
    facts = recorded_facts()
    observer = DeferredObserver(facts)
    tell_all(observer)
    assert not facts.proposed_ids and not facts.reports and not facts.ends
    observer.catch_up()
    observer.catch_up()
    assert facts.proposed_ids == ["t00000"]
    assert [report.epoch for report in facts.reports] == [1]
    assert facts.outcomes == {"t00000": Outcome.STOPPED}


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt("interrupted")])
def test_facts_are_passed_on_in_their_order_and_none_after_one_that_failed(
    recorded_facts, error: BaseException
) -> None:
    class Failing(recorded_facts):
        def reported(self, *_: object) -> None:
            assert self.proposed_ids and not self.ends
            raise error

    facts = Failing()
    observer = DeferredObserver(facts)
    tell_all(observer)
    with pytest.raises(type(error)):
        observer.catch_up()
    observer.catch_up()
    assert facts.proposed_ids == ["t00000"]
    assert not facts.ends, "an end is not recorded without the epochs before it"
