"""The time that is left, from made-up tables."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_epochs import START, epochs_of

from toprung.results.analysis.time_and_cost.eta import SearchPlan, remaining_secs, rises
from toprung.trainables.trial.objectives import Objective


def ended(count: int, lasting: float) -> pd.DataFrame:
    rows: list[dict[str, Any]] = [
        {"trial_id": f"t{i:05d}", "started_at": pd.Timestamp(START),
         "ended_at": pd.Timestamp(START) + pd.Timedelta(lasting, "s")} for i in range(count)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["trial_id", "started_at", "ended_at"])


def proposed(count: int) -> pd.DataFrame:
    return pd.DataFrame({"trial_id": [f"t{i:05d}" for i in range(count)], "proposed_at": pd.Timestamp(START)})


def test_what_is_left_is_played_through_with_the_workers_that_train_now() -> None:
    proposals = proposed(6)
    names = [f"t{i:05d}" for i in range(6) for _ in range(5 if i < 4 else 1)]
    epochs = epochs_of([0.5] * len(names), names).assign(reported_at=pd.Timestamp(START))
    plan = SearchPlan(12, (5,), 3)
    # Each trains 5 epochs of 1 s and takes 10 s; two run and have 4 epochs left, then each worker has three to train.
    assert remaining_secs(proposals, epochs, ended(4, 10.0), plan, START) == pytest.approx(4.0 + 3 * 10.0)
    later = START + timedelta(seconds=3)
    assert remaining_secs(proposals, epochs, ended(4, 10.0), plan, later) == pytest.approx(1.0 + 3 * 10.0)
    assert remaining_secs(proposals, epochs, ended(6, 10.0), SearchPlan(6, (5,), 3), START) is None
    assert remaining_secs(proposals, epochs.head(0), ended(0, 10.0), plan, START) is None


def test_what_is_left_is_told_before_the_first_trial_ends(tmp_path: Path) -> None:
    proposals = proposed(2)
    epochs = epochs_of([0.5], ["t00000"]).assign(reported_at=pd.Timestamp(START))
    ended(0, 10.0).astype({"trial_id": "str"}).to_parquet(tmp_path / "trials")
    none_ended = pd.read_parquet(tmp_path / "trials")
    none_ended = none_ended.astype({"started_at": "datetime64[us, UTC]", "ended_at": "datetime64[us, UTC]"})
    left_secs = remaining_secs(proposals, epochs, none_ended, SearchPlan(2, (5,), 3), START)
    assert left_secs is not None and left_secs > 0.0


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 60), st.integers(2, 4))
def test_ten_times_as_many_trials_take_longer(more: int, trials: int, factor: int) -> None:
    proposals = proposed(2)
    epochs = epochs_of([0.5, 0.5], ["t00000", "t00001"]).assign(reported_at=pd.Timestamp(START))
    plans = [SearchPlan(2 + count, (1, 3, 9), factor) for count in (trials, 10 * trials + more)]
    few, many = (remaining_secs(proposals, epochs, ended(1, 10.0), plan, START) for plan in plans)
    assert few is not None and many is not None and 0.0 < few < many


@pytest.mark.parametrize(("metric", "sign"), [("val_accuracy", 1.0), ("val_loss", -1.0)])
def test_a_trial_that_leads_is_expected_to_train_longer_than_one_that_is_behind(
    metric: str, sign: float
) -> None:
    """Of ten trials nine have ended at the first rung; the last runs, and its value decides how far it will come."""
    plan = SearchPlan(10, (1, 9, 81), 3, Objective.named(metric))
    left = []
    for last in (0.95, 0.05):
        values: list[float | None] = [*(sign * i / 10 for i in range(9)), sign * last, sign * last]
        names = [f"t{i:05d}" for i in range(10)] + ["t00009"]
        epochs = epochs_of(values, names).rename(columns={"val_accuracy": metric})
        now = START + timedelta(seconds=11)
        left.append(remaining_secs(proposed(10), epochs, ended(9, 1.0), plan, now))
    ahead, behind = left
    assert ahead is not None and behind is not None and ahead >= 7.0 and behind < 7.0


def test_epochs_that_take_longer_later_are_counted_as_long_as_they_take() -> None:
    """A training that unfreezes a network after its first epoch: four seconds an epoch, after one."""
    names = [name for name in ("t00000", "t00001", "t00002") for _ in range(5)] + ["t00003"]
    epochs = epochs_of([0.5] * 16, names).assign(reported_at=pd.Timestamp(START))
    epochs["epoch_secs"] = np.where(epochs["epoch"] == 1, 1.0, 4.0)
    left_secs = remaining_secs(proposed(4), epochs, ended(3, 17.0), SearchPlan(4, (1, 5), 1), START)
    assert left_secs == pytest.approx(16.0, rel=0.25), (
        "three trials say so, and half of one that all are equal"
    )


def test_a_trial_whose_machine_got_slower_is_expected_to_go_on_at_its_latest_pace() -> None:
    epochs = epochs_of([0.5] * 9, ["t00000"] + ["t00001"] * 8).assign(reported_at=pd.Timestamp(START))
    epochs["epoch_secs"] = [1.0] * 6 + [6.0] * 3
    left_secs = remaining_secs(proposed(2), epochs, ended(1, 1.0), SearchPlan(2, (10,), 3), START)
    assert left_secs == pytest.approx(2 * 6.0)


def test_without_a_measured_epoch_nothing_is_told() -> None:
    epochs = epochs_of([0.5] * 3, ["t00000"] * 3).assign(reported_at=pd.Timestamp(START), epoch_secs=np.nan)
    assert remaining_secs(proposed(2), epochs, ended(1, 1.0), SearchPlan(2, (9,), 3), START) is None
    beyond = epochs.assign(epoch_secs=1.0)
    assert remaining_secs(proposed(2), beyond, ended(1, 1.0), SearchPlan(2, (2,), 3), START) is not None


@pytest.mark.parametrize(("silent_secs", "expected_secs"), [(0.5, 0.5), (30.0, 70.0), (200.0, 200.0)])
def test_a_trial_without_a_report_is_like_those_that_took_as_long(
    silent_secs: float, expected_secs: float
) -> None:
    """Nine trials of one epoch took 1 s, the tenth 100 s; the eleventh has no report yet.

    After 0.5 s it is like the nine in most plays; after 30 s like the tenth; past that as long again as it lasted.
    """
    names = [f"t{i:05d}" for i in range(10)]
    epochs = epochs_of([0.5] * 10, names).assign(reported_at=pd.Timestamp(START))
    epochs["epoch_secs"] = [1.0] * 9 + [100.0]
    now = START + timedelta(seconds=silent_secs)
    left_secs = remaining_secs(proposed(11), epochs, ended(10, 1.0), SearchPlan(11, (1,), 3), now)
    assert left_secs == pytest.approx(expected_secs)


def test_high_scores_are_expected_to_rise_less_where_they_did() -> None:
    """Scores from 0 to 1 all end at 0.9, give or take a thousandth: a newcomer's first score says nothing.

    With one mean rise for all, a newcomer with a high first score would end far above the others and train on.
    """
    rng = np.random.default_rng(0)
    firsts, count = rng.uniform(0.0, 1.0, 30), 30
    at_first = pd.Series(firsts, index=[f"t{i:05d}" for i in range(count)])
    at_second = pd.Series(0.9 + 0.001 * rng.standard_normal(count), index=at_first.index)
    (rise,) = rises([at_first, at_second])
    ends = [rise.draw(1.0, Random(seed)) for seed in range(300)]
    # Half a measurement of "no rise" against 30 of slope 0 lifts a first score of 1 by 0.5 / 30 < 0.02.
    assert float(np.mean(ends)) == pytest.approx(0.9, abs=0.02)


def test_the_hours_between_two_drivers_are_no_time_of_training() -> None:
    """The first driver of a run was killed after 2 epochs of a trial; the second went on with it an hour later."""
    names = ["t00000"] * 4 + ["t00001"] * 2
    epochs = epochs_of([0.5] * 6, names).assign(reported_at=pd.Timestamp(START), epoch_secs=1.0)
    trials = ended(1, 3600.0).assign(overhead_secs=2.0)
    now = START + timedelta(hours=1, seconds=1)
    plan = SearchPlan(3, (4,), 3)
    left_secs = remaining_secs(
        proposed(2), epochs, trials, plan, now, active_since=now - timedelta(seconds=1)
    )
    # One second of the third epoch of t00001 is over; t00002 then takes 2 s beside its 4 epochs.
    assert left_secs == pytest.approx(1.0 + 2.0 + 4.0)
