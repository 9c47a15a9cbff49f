"""How long a step takes, by a few of them."""

from __future__ import annotations

import pytest

from toprung.trainables.training.timing import FEW_SECS, few_steps_secs


@pytest.mark.parametrize(
    ("secs", "told", "steps"),
    [
        ([0.4, 0.9], 0.4, [1, 1]),  # the second one was disturbed
        ([2.0, 0.3], 0.3, [1, 1]),  # the first one was
        ([0.02, 0.004], 0.004, [1, int(FEW_SECS / 0.02)]),  # a call's own time is shared by its steps
        ([1e-6, 1e-6], 1e-6, [1, 40]),  # no more than the epoch has
    ],
)
def test_a_step_is_timed_over_two_calls_and_the_faster_counts(
    secs: list[float], told: float, steps: list[int]
) -> None:
    left, asked = iter(secs), list[int]()

    def make_steps(count: int) -> float:
        asked.append(count)
        return next(left)

    assert few_steps_secs(make_steps, 40) == told
    assert asked == steps
