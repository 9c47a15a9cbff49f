"""An epoch is too slow where it takes many times the usual and the trial cannot end in time."""

from __future__ import annotations

import pytest

from toprung.trainables.trial.epoch_limit import EpochLimit


@pytest.mark.parametrize(
    ("epoch_secs", "epochs_left", "is_too_slow"),
    [
        (7.0, 10, True),
        (6.0, 10, False),  # three times the usual is not slow yet
        (7.0, 8, False),  # 56 s fit into 60
        (0.0, 10, False),
    ],
)
def test_a_trial_is_too_slow_beside_others_and_for_the_time_that_is_left(
    epoch_secs: float, epochs_left: int, is_too_slow: bool
) -> None:
    limit = EpochLimit(usual_secs=2.0, timed_trials=3, secs_left=60.0)
    assert (limit.why_too_slow(epoch_secs, epochs_left) is not None) == is_too_slow


def test_the_reason_says_what_it_takes_and_what_is_left() -> None:
    assert EpochLimit(2.5, 3, 200.0).why_too_slow(17.5, 25) == (
        "an epoch takes 17.5 s, 7.0 times the median; its 25 epochs cannot end in the 200 s that are left"
    )


def test_nothing_is_too_slow_beside_epochs_that_took_no_time() -> None:
    assert EpochLimit(usual_secs=0.0, timed_trials=3, secs_left=1.0).why_too_slow(5.0, 9) is None
