"""Intervals: how often they hold the truth, and what few images can say."""

from __future__ import annotations

import numpy as np
import pytest

from toprung.trainables.metrics.intervals import paired_change, share_interval, unpaired_change


def test_the_interval_of_a_share_is_wilsons() -> None:
    interval = share_interval(8, 10)
    assert (interval.low, interval.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert share_interval(10, 10).high == pytest.approx(1.0) and share_interval(10, 10).low > 0.7
    assert share_interval(0, 5).low == 0.0


def holds_truth(shares: tuple[float, float], shared: float, images: int) -> float:
    """How often the 95% interval of a change holds the truth, when `shared` of the images are equally hard for both."""
    rng = np.random.default_rng(0)
    first, second = shares
    held = 0
    for _ in range(1000):
        luck = rng.random(images)
        other = np.where(rng.random(images) < shared, luck, rng.random(images))
        interval = paired_change(luck < first, other < second).interval
        held += interval.low <= second - first <= interval.high
    return held / 1000


@pytest.mark.parametrize(("shares", "shared"), [((0.9, 0.9), 0.0), ((0.9, 0.8), 0.8), ((0.6, 0.7), 0.5)])
@pytest.mark.parametrize("images", [40, 300])
def test_the_interval_of_a_paired_change_holds_the_truth(
    shares: tuple[float, float], shared: float, images: int
) -> None:
    # Of 1000 draws a rate of 0.95 varies by 0.007; 0.93 is three of them below.
    assert holds_truth(shares, shared, images) >= 0.93


def test_what_is_common_to_both_models_makes_the_comparison_sharper() -> None:
    before = np.random.default_rng(0).random(500) < 0.8
    after = before.copy()
    after[:10] = False
    paired = paired_change(before, after)
    apart = unpaired_change(before.mean(), 500, after.mean(), 500)
    assert paired.change == pytest.approx(apart.change)
    assert paired.standard_error < apart.standard_error / 3
    assert paired.is_worse and not apart.is_worse


def test_equal_answers_on_few_images_are_not_equal_for_certain() -> None:
    interval = paired_change(np.ones(5), np.ones(5)).interval
    assert interval.low < -0.3 and interval.high > 0.3
