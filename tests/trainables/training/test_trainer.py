"""A trainer learns, repeats itself exactly, continues from a saved state, and notices divergence."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from toprung.spaces.definition.recipe_vocabulary import TECHNIQUES
from toprung.spaces.errors import InputError
from toprung.trainables.metrics.classification import validation_metrics
from toprung.trainables.task.task import Task

pytestmark = pytest.mark.slow

METRICS = {*validation_metrics(10), "train_accuracy", "train_loss", "learning_rate", "images_per_sec"}
EVERYTHING = {
    "augment": 0.8,
    "augment_set": "chosen",
    "augment_picks": 4,
    **{f"augment_{name}": True for name in TECHNIQUES},
    "ema": 0.9,
    "schedule": "plateau",
}


def test_digits_are_learnt_in_a_few_epochs(digits: Task, config: dict, new_trainer: Callable) -> None:
    trainer = new_trainer(config, digits)
    metrics = [trainer.train_epoch(epoch) for epoch in range(1, 7)]
    assert set(metrics[0]) == METRICS
    assert all(isinstance(value, float) and math.isfinite(value) for value in metrics[-1].values())
    assert metrics[-1]["val_accuracy"] > 0.95
    assert metrics[-1]["train_loss"] < metrics[0]["train_loss"]
    scores = trainer.evaluate(digits.val)
    assert scores.accuracy == metrics[-1]["val_accuracy"]
    assert scores.predictions.shape == (270,)


def test_a_used_trainer_repeats_the_curve_of_a_new_one_bit_for_bit(
    noise: Task, config: dict, new_trainer: Callable, curve: Callable
) -> None:
    used = new_trainer(config, noise)
    curve(used, {**config, "learning_rate": 0.5, "dropout": 0.4, "optimizer": "sgd", "batch_size": 7}, seed=9)
    assert curve(used, config, seed=3) == curve(new_trainer(config, noise), config, seed=3)


def test_the_seed_decides_the_curve(
    noise: Task, config: dict, new_trainer: Callable, curve: Callable
) -> None:
    trainer = new_trainer(config, noise)
    assert curve(trainer, config, seed=1) == curve(trainer, config, seed=1) != curve(trainer, config, seed=2)


def test_no_recipe_and_no_runtime_hyperparameter_needs_another_trace(
    noise: Task, config: dict, new_trainer: Callable, curve: Callable
) -> None:
    trainer = new_trainer(config, noise)
    base = curve(trainer, config, seed=0)
    turned = {
        "optimizer": "lion",
        "learning_rate": 1e-2,
        "warmup_share": 0.5,
        "final_share": 0.5,
        "weight_decay": 0.5,
        "momentum": 0.5,
        "label_smoothing": 0.3,
        "clip_norm": 0.1,
        "schedule": "one_cycle",
        "ema": 0.9,
        "class_balance": 1.0,
        "augment_contrast": False,
        "batch_size": 13,
        "augment": 0.9,
        "flip": True,
        "dropout": 0.5,
        "head_dropout": 0.5,
    }
    for key, value in turned.items():
        assert curve(trainer, {**config, key: value}, seed=0) != base, f"{key} changed nothing"
    assert trainer.traces == 1


def test_beyond_the_standard_augmentation_one_trace_does_for_all_techniques(
    noise: Task, config: dict, new_trainer: Callable, curve: Callable
) -> None:
    config = {**config, "augment": 0.8, "augment_set": "chosen", "augment_hue": True}
    trainer = new_trainer(config, noise)
    base = curve(trainer, config, seed=0)
    for name in TECHNIQUES:
        key = f"augment_{name}"
        turned = {**config, key: not config.get(key, False)}
        assert curve(trainer, turned, seed=0) != base, f"{key} changed nothing"
    assert curve(trainer, {**config, "augment_blur": True, "augment_picks": 1}, seed=0) != base
    assert trainer.traces == 1


@pytest.mark.parametrize("extra", [{}, EVERYTHING], ids=["standard", "everything"])
def test_training_continues_from_a_saved_state_bit_for_bit(
    noise: Task, config: dict, extra: dict, new_trainer: Callable, curve: Callable, exact: Callable
) -> None:
    config = {**config, **extra}
    straight = new_trainer(config, noise)
    through = curve(straight, config, seed=4, epochs=3)
    first = new_trainer(config, noise)
    assert curve(first, config, seed=4, epochs=1) == through[:1]
    saved = {key: value.copy() for key, value in first.state().items()}
    first.train_epoch(2)
    second = new_trainer(config, noise)
    second.reset(config, 4)
    second.load_state(saved)
    assert [exact(second.train_epoch(epoch)) for epoch in (2, 3)] == through[1:]
    assert all(np.array_equal(value, second.state()[key]) for key, value in straight.state().items())


def test_a_state_of_another_structure_is_refused(noise: Task, config: dict, new_trainer: Callable) -> None:
    other = new_trainer({**config, "filters": 16}, noise).state()
    with pytest.raises(ValueError, match="must have"):
        new_trainer(config, noise).load_state(other)


@pytest.mark.parametrize("watches_loss", [True, False])
def test_a_diverging_trial_ends_its_epoch_and_reports_numbers_that_are_not_finite(
    noise: Task, config: dict, watches_loss: bool, new_trainer: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an accelerator the loss is looked at after each call alone; a CPU pretends to be one."""
    from toprung.trainables.backend.autotune import Device
    from toprung.trainables.training import compiled_model

    monkeypatch.setattr(compiled_model, "device", lambda: Device(accelerated=not watches_loss))
    trainer = new_trainer(config, noise)
    assert trainer.compiled.step.watches_loss is watches_loss
    trainer.reset(
        {**config, "optimizer": "sgd", "learning_rate": 1e25, "warmup_share": 0.0, "batch_size": 5}, 0
    )
    metrics = trainer.train_epoch(1)
    assert not math.isfinite(metrics["train_loss"])
    assert math.isnan(metrics["val_accuracy"])
    steps = int(trainer.state()["step"])
    assert steps < 10 if watches_loss else steps == 10
    trainer.reset(config, 0)
    assert all(math.isfinite(value) for value in trainer.train_epoch(1).values())


def test_an_impossible_recipe_is_refused(noise: Task, config: dict, new_trainer: Callable) -> None:
    trainer = new_trainer(config, noise)
    with pytest.raises(InputError, match=r"config\.learning_rate"):
        trainer.reset({**config, "learning_rate": -1}, 0)


def test_building_leaves_the_processes_random_numbers_alone(
    noise: Task, config: dict, new_trainer: Callable
) -> None:
    random.seed(7)
    np.random.seed(7)
    expected = random.Random(7).random(), np.random.RandomState(7).rand()
    new_trainer(config, noise)
    assert (random.random(), np.random.rand()) == expected


def test_the_average_is_what_is_scored_and_exported(noise: Task, config: dict, new_trainer: Callable) -> None:
    """A decay so near 1 that the average stays close behind its climb: (1 + step) / (10 + step)."""
    trainer = new_trainer(config, noise)
    trainer.reset({**config, "ema": 0.9999}, 0)
    trainer.train_epoch(1)
    state = trainer.state()
    average, raw = state["optimizer/average"], state["optimizer/weights"]
    assert average.shape == raw.shape
    assert not np.array_equal(average, raw)
    scores = trainer.evaluate(noise.val)
    exported = np.asarray(trainer.export()(noise.val.images))
    assert exported == pytest.approx(scores.probabilities, abs=1e-5)
    trainer.load_state({**state, "optimizer/weights": np.zeros_like(raw)})
    assert trainer.evaluate(noise.val).loss == scores.loss


def test_without_an_average_a_state_carries_none(noise: Task, config: dict, new_trainer: Callable) -> None:
    trainer = new_trainer(config, noise)
    state = trainer.state()
    assert state["optimizer/average"].size == 0
    del state["optimizer/average"]  # as checkpoints were before there were averages
    trainer.load_state(state)
    trainer.train_epoch(1)


def test_class_weights_raise_the_probability_of_a_rare_class(
    noise: Task, config: dict, new_trainer: Callable
) -> None:
    """Of images without any pattern, the model can only learn how often a class comes."""
    labels = np.where(np.arange(50) < 44, 0, 1 + np.arange(50) % 2).astype(np.int32)
    uneven = replace(noise, train=SimpleNamespace(images=noise.train.images[:, :1, :1].repeat(8, 1).repeat(8, 2) // 64,
                                                  labels=labels))  # fmt: skip
    trainer = new_trainer(config, uneven)
    rare = []
    for balance in (0.0, 1.0):
        trainer.reset({**config, "class_balance": balance, "optimizer": "adam"}, 0)
        for epoch in range(1, 5):
            trainer.train_epoch(epoch)
        rare.append(trainer.evaluate(uneven.train).probabilities[:, 1:].sum(axis=1).mean())
    assert rare[0] < 0.35 < 0.45 < rare[1]


def test_a_plateau_lowers_the_rate_and_survives_a_checkpoint(
    noise: Task, config: dict, new_trainer: Callable, curve: Callable
) -> None:
    still = {
        **config,
        "schedule": "plateau",
        "learning_rate": 1e-12,
        "warmup_share": 0.0,
        "dropout": 0.0,
        "head_dropout": 0.0,
        "augment": 0.0,
        "optimizer": "sgd",
        "batch_norm": False,
        "batch_size": 50,
    }
    trainer = new_trainer(still, noise)
    rates = [metrics["learning_rate"] for metrics in curve(trainer, still, seed=0, epochs=6)]
    assert rates == pytest.approx([1e-12] * 4 + [1e-12 / 3] * 2)
    saved = trainer.state()
    expected = [trainer.train_epoch(epoch)["learning_rate"] for epoch in (7, 8)]
    trainer.reset(still, 0)
    trainer.load_state(saved)
    assert [trainer.train_epoch(epoch)["learning_rate"] for epoch in (7, 8)] == expected
    assert expected == pytest.approx([1e-12 / 3, 1e-12 / 9])
