"""What fine-tuning gained over a head on frozen features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from toprung.results.analysis.head_reference import HeadReference, head_reference
from toprung.results.tables.rows import rows_table
from toprung.results.tables.schema import kinds_of, run_schemas
from toprung.trainables.trial.objectives import Objective
from toprung.trainables.trial.report import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCURACY = Objective("val_accuracy", "max")
CONFIG = {"learning_rate": 0.2, "optimizer": "sgd", "momentum": 0.9, "blocks": 3, "nesterov": True}


def reference(
    search: Any, head_epochs: Mapping[str, int], objective: Objective = ACCURACY
) -> HeadReference | None:
    schemas = run_schemas(kinds_of([CONFIG]))
    trials, epochs = (
        rows_table(search.rows[name], schemas[name]).to_pandas() for name in ("trials", "epochs")
    )
    return head_reference(epochs, trials, head_epochs, objective)


def test_the_best_head_is_compared_with_the_best_fine_tuned_network(search: Any) -> None:
    search.trial([0.5, 0.75, 0.625])
    search.trial([0.625, 0.25, 0.5])
    found = reference(search, {"t00000": 1, "t00001": 2})
    assert found is not None and found.tuned is not None
    assert (found.head.trial_id, found.head.value, found.head.epoch) == ("t00001", 0.625, 1)
    assert (found.tuned.trial_id, found.tuned.value, found.tuned.epoch) == ("t00000", 0.75, 2)
    assert found.line("val_accuracy") == (
        "val_accuracy 0.6250 of a head on frozen features (t00001, epoch 1); "
        "fine-tuned 0.7500 (t00000, epoch 2), 0.1250 better"
    )


@pytest.mark.parametrize("tuned", [0.5, 0.25])
def test_it_is_told_when_fine_tuning_gained_nothing(search: Any, tuned: float) -> None:
    search.trial([0.5, tuned])
    found = reference(search, {"t00000": 1})
    assert found is not None
    assert "fine-tuning gained nothing over it: " in found.line("val_accuracy")


def test_before_fine_tuning_the_head_is_what_it_has_to_beat(search: Any) -> None:
    search.trial([0.5], None)
    found = reference(search, {"t00000": 1})
    assert found is not None and found.tuned is None
    assert found.line("val_accuracy").endswith("(t00000, epoch 1): what fine-tuning has to beat")


def test_a_smaller_loss_is_better(search: Any) -> None:
    search.trial([0.5, 0.25])
    found = reference(search, {"t00000": 1}, Objective("val_accuracy", "min"))
    assert found is not None and found.gain == 0.25


def test_without_head_epochs_there_is_no_reference(search: Any) -> None:
    search.trial([0.5, 0.75])
    assert reference(search, {}) is None
    assert reference(search, {"t00000": 0}) is None


def test_trials_that_cannot_win_do_not_count(search: Any) -> None:
    search.trial([0.875, 0.9], Outcome.DIVERGED)
    assert reference(search, {"t00000": 1}) is None
