"""When patience ends a trial, by its reports alone."""

from __future__ import annotations

import pytest

from toprung.trainables.trial.objectives import Objective
from toprung.trainables.trial.patience import patience_of, patience_stop_reason
from toprung.trainables.trial.report import EpochReport

ACCURACY = Objective("val_accuracy", "max")
# The best before three worse epochs is that of epoch 3.
CURVE = [0.1, 0.3, 0.5, 0.4, 0.5, 0.45, 0.9, 0.9, 0.9]


def reports(count: int) -> list[EpochReport]:
    return [
        EpochReport("t00000", epoch, {"val_accuracy": value})
        for epoch, value in enumerate(CURVE[:count], start=1)
    ]


@pytest.mark.parametrize(("patience", "ends_at"), [(0, None), (1, 4), (2, 5), (3, 6), (5, None)])
def test_equal_is_not_better_and_zero_waits_for_ever(patience: int, ends_at: int | None) -> None:
    config = {"patience_epochs": patience}
    ended = [n for n in range(1, 10) if patience_stop_reason(reports(n), config, ACCURACY)]
    assert (ended[0] if ended else None) == ends_at


def test_the_direction_of_the_objective_decides_what_is_better() -> None:
    loss = Objective("val_accuracy", "min")
    assert patience_stop_reason(reports(2), {"patience_epochs": 1}, loss) is not None
    assert patience_stop_reason(reports(2), {"patience_epochs": 1}, ACCURACY) is None


def test_no_trial_ends_before_the_first_epoch_that_may() -> None:
    config = {"patience_epochs": 1}
    assert patience_stop_reason(reports(4), config, ACCURACY, min_epochs=5) is None
    assert patience_stop_reason(reports(5), config, ACCURACY, min_epochs=5) is not None


@pytest.mark.parametrize(
    ("config", "patience"), [({}, 0), ({"patience_epochs": None}, 0), ({"patience_epochs": 4}, 4)]
)
def test_a_configuration_without_patience_has_none(config: dict[str, object], patience: int) -> None:
    assert patience_of(config) == patience
