"""A trial is too slow where its epochs take many times the usual and do not fit into what is left of the budget."""

from __future__ import annotations

import math
from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from toprung.search.loop.epoch_pace import EpochPace

SECS = st.floats(0.01, 100.0)


def pace_of(*epoch_secs: float) -> EpochPace:
    """The second epochs of trials t0, t1, ..."""
    pace = EpochPace()
    for number, secs in enumerate(epoch_secs):
        pace.add(f"t{number}", 2, secs)
    return pace


def test_a_slow_trial_is_told_what_it_takes_and_what_is_left() -> None:
    reason = pace_of(17.5, 2.8, 2.5, 3.0).why_too_slow("t0", epochs_left=25, secs_left=200.0)
    assert reason == (
        "an epoch takes 17.5 s, 6.2 times the median; its 25 epochs cannot end in the 200 s that are left"
    )


@given(st.lists(SECS, min_size=4, max_size=8), st.integers(1, 100))
def test_without_a_limit_no_trial_is_too_slow(epoch_secs: list[float], epochs_left: int) -> None:
    assert pace_of(*epoch_secs).why_too_slow("t0", epochs_left, math.inf) is None


@given(st.lists(SECS, min_size=4, max_size=8), st.floats(0.0, 1000.0))
def test_the_fastest_trial_is_never_too_slow(epoch_secs: list[float], secs_left: float) -> None:
    fastest = min(range(len(epoch_secs)), key=epoch_secs.__getitem__)
    assert pace_of(*epoch_secs).why_too_slow(f"t{fastest}", 10**6, secs_left) is None


@given(st.lists(st.tuples(st.integers(0, 5), SECS), min_size=10, max_size=40), st.integers(0, 5))
def test_the_usual_is_the_median_of_the_other_trials_medians(
    epochs: list[tuple[int, float]], own: int
) -> None:
    pace = EpochPace()
    secs: dict[int, list[float]] = {number: [] for number in range(6)}
    for number, epoch_secs in epochs:
        pace.add(f"t{number}", 2, epoch_secs)
        secs[number].append(epoch_secs)
    medians = {number: median(found) for number, found in secs.items() if found}
    others = [value for number, value in medians.items() if number != own]
    reason = pace.why_too_slow(f"t{own}", 10**6, 0.0)
    is_slow = own in medians and bool(others) and medians[own] > 3.0 * median(others)
    assert (reason is not None) == is_slow
    if reason:
        assert f"{medians[own] / median(others):.1f} times the median" in reason


def test_beside_few_trials_one_is_too_slow_only_where_not_one_of_its_epochs_fits() -> None:
    pace = pace_of(50.0, 1.0, 1.0)
    assert pace.why_too_slow("t0", 100, 60.0) is None
    assert pace.why_too_slow("t0", 100, 40.0) is not None
    assert pace_of(50.0).why_too_slow("t0", 100, 1.0) is None, "no other was timed"
    pace.add("t3", 2, 1.0)
    assert pace.why_too_slow("t0", 100, 60.0) is not None


def test_the_first_epoch_counts_for_its_own_trial_until_the_second() -> None:
    pace = pace_of(1.0, 2.0, 3.0)
    pace.add("t9", 1, 60.0)
    reason = pace.why_too_slow("t9", 100, 1.0)
    assert (
        reason
        == "an epoch takes 60 s, 30.0 times the median; its 100 epochs cannot end in the 1 s that are left"
    )
    pace.add("t9", 2, 1.0)
    assert pace.why_too_slow("t9", 100, 1.0) is None


def test_first_epochs_say_nothing_of_what_is_usual() -> None:
    pace = EpochPace()
    for number in range(3):
        pace.add(f"t{number}", 1, 1.0)
    pace.add("t3", 2, 60.0)
    assert pace.why_too_slow("t3", 100, 1.0) is None
