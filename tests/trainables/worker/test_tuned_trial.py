"""Our trial as a trainable of Ray Tune's own, without Ray and TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.tune.result import DONE

from toprung.spaces.user_code.source_files import SourceFile
from toprung.trainables.data.dataset import DataSpec
from toprung.trainables.trial.bounds import Bound, Bounds
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.worker import tuned_trial
from toprung.trainables.worker.plan import Rules, TrialPlan
from toprung.trainables.worker.tuned_trial import TunedTrial

EPOCHS = 4
OBJECTIVES = Objectives.named(["val_accuracy"])


@pytest.fixture
def started(
    monkeypatch: pytest.MonkeyPatch, source_type: Any, trainer_type: Any
) -> Iterator[Callable[..., TunedTrial]]:
    """Begin a trial whose epochs are scripted, as Ray Tune would."""
    made: list[TunedTrial] = []
    monkeypatch.setattr(tuned_trial, "CachedTrainerSource", lambda _: source_type(trainer_type()))

    def begin(config: dict[str, Any], objectives: Objectives = OBJECTIVES) -> TunedTrial:
        rules = Rules(EPOCHS, checkpoint_secs=0.0, objectives=objectives)
        plan = TrialPlan(DataSpec("digits"), SourceFile("digits"), SourceFile("cnn"), "", rules, 1.0)

        class Planned(TunedTrial):
            def setup(self, config: dict[str, Any]) -> None:
                super().setup(config, plan, seed=1)

        made.append(Planned(config))
        return made[-1]

    yield begin
    for one in made:
        one.stop()


def values(trial: TunedTrial, epochs: int) -> list[float]:
    return [trial.train()["val_accuracy"] for _ in range(epochs)]


def test_a_step_is_an_epoch_and_the_last_one_says_so(started: Callable[..., TunedTrial]) -> None:
    trial = started({"gain": 1.0})
    results = [trial.train() for _ in range(EPOCHS)]
    assert [one["val_accuracy"] for one in results] == [2.0, 4.0, 7.0, 11.0]
    assert [one[DONE] for one in results] == [False, False, False, True]
    assert [one["training_iteration"] for one in results] == [1, 2, 3, 4]


def test_another_process_goes_on_from_a_checkpoint(
    started: Callable[..., TunedTrial], tmp_path: Path
) -> None:
    first, second = started({"gain": 1.0}), started({"gain": 1.0})
    assert values(first, 2) == [2.0, 4.0]
    second.restore(first.save(str(tmp_path)))
    result = second.train()
    assert (result["val_accuracy"], result["training_iteration"]) == (7.0, 3)


def test_the_state_of_another_configuration_is_not_taken(
    started: Callable[..., TunedTrial], tmp_path: Path
) -> None:
    first, second = started({"gain": 1.0}), started({"gain": 2.0})
    values(first, 2)
    second.restore(first.save(str(tmp_path)))
    assert values(second, 1) == [3.0]


def test_a_reused_process_begins_the_next_trial_from_the_start(started: Callable[..., TunedTrial]) -> None:
    trial = started({"gain": 1.0})
    values(trial, 2)
    assert trial.reset({"gain": 1.0})
    assert values(trial, 2) == [2.0, 4.0]


def test_a_failed_training_raises(started: Callable[..., TunedTrial]) -> None:
    trial = started({"raises_at": 2, "error": ValueError("no such layer")})
    values(trial, 1)
    with pytest.raises(RuntimeError, match="ValueError: no such layer"):
        trial.train()


def test_a_model_beyond_a_bound_is_not_trained(started: Callable[..., TunedTrial]) -> None:
    bounds = Bounds((Bound("parameter_count", greatest=0.5),))
    result = started({}, Objectives.named(["val_accuracy"], bounds)).train()
    assert math.isnan(result["val_accuracy"]) and result["parameter_count"] == 1.0 and result[DONE]
