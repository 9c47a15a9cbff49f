"""Two trainings are compared to the last bit, in what measures the model."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from toprung.search.rerun.comparison import compare
from toprung.trainables.trial.report import EpochReport

values = st.floats(allow_nan=True, allow_infinity=True, width=64)
curves = st.lists(values, min_size=1, max_size=9)


def reports(losses: list[float], images_per_sec: float = 1.0) -> list[EpochReport]:
    return [
        EpochReport("t00001", epoch, {"val_loss": loss, "images_per_sec": images_per_sec, "latency_ms": 1.0})
        for epoch, loss in enumerate(losses, start=1)
    ]


@given(losses=curves)
def test_a_training_equals_itself_whatever_its_speed(losses: list[float]) -> None:
    found = compare(reports(losses), reports(losses, images_per_sec=7.0))
    assert found.is_same and found.epochs == len(losses) and found.metrics == ("val_loss",)


@given(losses=st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=9), data=st.data())
def test_the_least_change_of_one_value_is_found_at_its_epoch(
    losses: list[float], data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, len(losses) - 1))
    changed = [*losses]
    changed[row] = math.nextafter(changed[row], math.inf)
    (difference,) = compare(reports(losses), reports(changed)).first
    assert (difference.epoch, difference.metric) == (row + 1, "val_loss")
    assert (difference.recorded, difference.again) == (losses[row], changed[row])


def test_the_first_epoch_that_differs_is_told_with_all_its_metrics_and_the_largest_difference_of_all() -> (
    None
):
    before = [EpochReport("t", 1, {"a": 1.0, "b": 2.0}), EpochReport("t", 2, {"a": 1.0, "b": 2.0, "c": 3.0})]
    after = [EpochReport("t", 1, {"a": 1.0, "b": 2.5}), EpochReport("t", 2, {"a": 1.0, "b": 1.0})]
    found = compare(before, after)
    assert [str(each) for each in found.first] == ["b 2.5 (in the search 2)"]
    assert [str(each) for each in found.differences][1:] == [
        "b 1 (in the search 2)",
        "c not measured (in the search 3)",
    ]
    largest = found.largest("b")
    assert largest is not None and (largest.epoch, largest.size) == (2, 1.0)
    assert found.largest("a") is None and not found.is_same


def test_a_training_that_ends_otherwise_is_not_the_same_though_its_epochs_are() -> None:
    found = compare(
        reports([1.0, 2.0]), reports([1.0]), "FAILED after epoch 1 (in the search COMPLETED after epoch 2)"
    )
    assert not found.is_same and found.epochs == 1 and not found.differences
