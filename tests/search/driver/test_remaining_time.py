"""The time that is left is estimated now and then, as often as that is worth it, and counted down in between."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from toprung.search.driver.remaining_time import RemainingTime, remaining_time
from toprung.search.jobs.schema import Job


class Estimates:
    """Estimates that take a while by a clock that they move."""

    def __init__(self, *values: float | None, took_secs: float = 0.01) -> None:
        self.now_secs, self.made, self._took_secs = 1000.0, 0, took_secs
        self._values: Iterator[float | None] = iter(values)

    def __call__(self) -> float | None:
        self.now_secs, self.made = self.now_secs + self._took_secs, self.made + 1
        return next(self._values)

    def clock(self) -> float:
        return self.now_secs


def test_it_is_counted_down_until_the_next_estimate() -> None:
    estimates = Estimates(60.0, 90.0)
    remaining, told = RemainingTime(estimates, estimates.clock, estimates.clock), []
    for _ in range(5):
        told.append(remaining.secs())
        estimates.now_secs += 1.0
    assert told == pytest.approx([60.0, 58.99, 57.99, 56.99, 90.0])
    assert estimates.made == 2


def test_an_estimate_that_takes_long_is_made_seldom() -> None:
    estimates = Estimates(*[1000.0] * 10, took_secs=2.0)
    remaining = RemainingTime(estimates, estimates.clock, estimates.clock)
    for _ in range(150):
        remaining.secs()
        estimates.now_secs += 1.0
    assert estimates.made == 3, "one in 67 s"


def test_what_is_not_known_is_not_counted_down_and_nothing_is_below_zero() -> None:
    estimates = Estimates(None, 2.0)
    remaining, told = RemainingTime(estimates, estimates.clock, estimates.clock), []
    for _ in range(8):
        told.append(remaining.secs())
        estimates.now_secs += 1.0
    assert told[:4] == [None] * 4 and told[4] == 2.0 and told[-1] == 0.0


def test_a_run_that_cannot_be_read_has_no_estimate(tmp_path) -> None:
    job = Job.from_dict({"name": "a", "data": "digits", "search": {"max_epochs": 9}})
    assert remaining_time(str(tmp_path / "nothing"), job).secs() is None
