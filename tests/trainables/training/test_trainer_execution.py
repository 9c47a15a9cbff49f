"""How a trial is computed changes its speed, not its result: feeds, calls, micro-batches, precision, XLA."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from toprung.trainables.task.task import Task
from toprung.trainables.trial.execution import ExecutionPlan, ExecutionRecord

pytestmark = pytest.mark.slow


def test_streaming_in_chunks_and_residing_on_the_device_train_the_same(
    noise: Task, config: dict, new_trainer: Callable, curve: Callable
) -> None:
    from toprung.trainables.training.batches import ResidentFeed, StreamedFeed

    feeds = [
        StreamedFeed(noise.train),
        StreamedFeed(noise.train, chunk_bytes=6000),
        ResidentFeed(noise.train, 1),
    ]
    small = {**config, "batch_size": 8}
    curves = [curve(new_trainer(small, noise, feed=feed), small, seed=1) for feed in feeds]
    assert curves[0] == curves[1] == curves[2]


def test_read_only_memory_maps_are_trained_on(
    noise: Task, config: dict, tmp_path, new_trainer: Callable, curve: Callable
) -> None:
    np.save(tmp_path / "images.npy", noise.train.images)
    mapped = SimpleNamespace(
        images=np.load(tmp_path / "images.npy", mmap_mode="r"), labels=noise.train.labels
    )
    expected = curve(new_trainer(config, noise), config, seed=1)
    assert curve(new_trainer(config, replace(noise, train=mapped)), config, seed=1) == expected


def test_evaluation_does_not_depend_on_the_batches_it_is_cut_into(
    noise: Task, config: dict, monkeypatch, new_trainer: Callable
) -> None:
    from toprung.trainables.training import batches

    trainer = new_trainer(config, noise)
    whole = trainer.evaluate(noise.train)
    monkeypatch.setattr(batches, "CPU_BYTES", 8 * 8 * 3 * 7)
    in_pieces = trainer.evaluate(noise.train)
    assert in_pieces.predictions.tolist() == whole.predictions.tolist()
    assert in_pieces.loss == pytest.approx(whole.loss, rel=1e-5)


def test_mixed_precision_trains_and_leaves_a_float32_model_for_uint8_images(
    digits: Task, config: dict, tmp_path, new_trainer: Callable
) -> None:
    import keras

    from toprung.trainables.backend.keras_internals import all_layers

    trainer = new_trainer(config, digits, plan=ExecutionPlan("mixed_bfloat16"))
    assert keras.config.dtype_policy().name == "float32", "other models compute as before"
    metrics = [trainer.train_epoch(epoch) for epoch in range(1, 5)]
    assert all(math.isfinite(row["train_loss"]) for row in metrics)
    assert metrics[-1]["train_loss"] < metrics[0]["train_loss"]
    assert metrics[-1]["val_accuracy"] > 0.9
    state = trainer.state()
    names = ("weights", "first_moment", "second_moment")
    assert {state[f"optimizer/{name}"].dtype for name in names} == {np.dtype(np.float32)}
    trainer.export().save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.inputs[0].dtype == "uint8"
    assert {layer.compute_dtype for layer in all_layers(loaded)} <= {"float32", "uint8"}
    probabilities = np.asarray(loaded(digits.val.images))
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(270), abs=1e-6)
    # bfloat16 has 8 bits: what was scored and what left differ by its rounding alone.
    assert probabilities == pytest.approx(trainer.evaluate(digits.val).probabilities, abs=0.1)
    assert trainer.execution_record == ExecutionRecord("cpu", "mixed_bfloat16", xla=False, steps_per_call=40)


def test_mixed_precision_repeats_itself_and_continues_bit_for_bit(
    noise: Task, config: dict, new_trainer: Callable, curve: Callable, exact: Callable
) -> None:
    mixed = ExecutionPlan("mixed_bfloat16")
    used = new_trainer(config, noise, plan=mixed)
    curve(used, {**config, "learning_rate": 0.5, "optimizer": "sgd", "batch_size": 7}, seed=9)
    through = curve(used, config, seed=3, epochs=2)
    fresh = new_trainer(config, noise, plan=mixed)
    assert curve(fresh, config, seed=3, epochs=1) == through[:1]
    assert curve(new_trainer(config, noise), config, seed=3, epochs=1) != through[:1]
    saved = fresh.state()
    used.reset(config, 3)
    used.load_state(saved)
    assert exact(used.train_epoch(2)) == through[1]


def test_micro_batches_give_the_update_of_the_whole_batch(
    noise: Task, config: dict, new_trainer: Callable, curve: Callable
) -> None:
    """Augmented, with a penalty, class weights and batches (7 images) that no number of micro-batches divides."""
    calm = {
        **config,
        "batch_norm": False,
        "dropout": 0.0,
        "head_dropout": 0.0,
        "augment": 0.5,
        "dense_units": 16,
        "head_l2": 0.1,
        "class_balance": 1.0,
        "optimizer": "sgd",
        "batch_size": 7,
    }
    whole, *cut = (
        new_trainer(calm, noise, plan=ExecutionPlan(micro_batches=count)) for count in (1, 2, 3, 8)
    )
    expected = curve(whole, calm, seed=1, epochs=1)[0]
    for trainer in cut:
        # Eight steps from float32's 1e-7: sums of the same numbers in another order.
        assert curve(trainer, calm, seed=1, epochs=1)[0] == pytest.approx(expected, rel=1e-4)
        weights = trainer.state()["optimizer/weights"]
        assert weights == pytest.approx(whole.state()["optimizer/weights"], rel=1e-3, abs=1e-5)
    assert [trainer.execution_record.micro_batch_size for trainer in (whole, *cut)] == [None, 4, 3, 1]


def test_how_many_steps_are_in_a_call_changes_no_bit(
    noise: Task, config: dict, new_trainer: Callable, curve: Callable
) -> None:
    small = {**config, "batch_size": 8}
    trainers = [new_trainer(small, noise, plan=ExecutionPlan(steps_per_call=n)) for n in (None, 2)]
    one, other = (curve(trainer, small, seed=1) for trainer in trainers)
    assert one == other
    assert [trainer.execution_record.steps_per_call for trainer in trainers] == [7, 2]


def test_the_record_of_a_trial_says_nothing_of_the_one_before_it(
    noise: Task, config: dict, new_trainer: Callable
) -> None:
    trainer = new_trainer({**config, "batch_size": 8}, noise)
    trainer.train_epoch(1)
    assert trainer.execution_record.steps_per_call == 7
    trainer.reset(config, 2)
    assert trainer.execution_record.steps_per_call is None, "it has made no call yet"


def test_a_step_can_be_timed(noise: Task, config: dict, new_trainer: Callable) -> None:
    trainer = new_trainer(config, noise)
    assert 0 < trainer.secs_per_step(steps_per_call=2) < 60


@pytest.mark.parametrize("xla", [False, True])
def test_an_epoch_can_be_timed_before_it_is_trained_which_changes_no_bit(
    noise: Task, config: dict, new_trainer: Callable, curve: Callable, xla: bool
) -> None:
    small = {**config, "batch_size": 8}
    trainer = new_trainer(small, noise, plan=ExecutionPlan(xla=xla))
    untimed = curve(trainer, small, seed=1)
    trainer.reset(small, 1)
    before, _ = trainer.state(), trainer.take_usage()
    assert 0 < trainer.epoch_secs() < 60
    assert trainer.take_usage().input_wait_secs == 0, "which is a part of the epochs"
    after = trainer.state()
    assert all(np.array_equal(after[name], value) for name, value in before.items())
    assert [trainer.train_epoch(epoch + 1) for epoch in range(len(untimed))][-1]["val_loss"] == untimed[-1][
        "val_loss"
    ]


def test_reading_images_ahead_is_no_part_of_an_epochs_time(
    noise: Task, config: dict, new_trainer: Callable
) -> None:
    from toprung.trainables.training.batches import StreamedFeed

    class SlowImages(np.ndarray):
        def __getitem__(self, rows):
            time.sleep(0.5)
            return np.asarray(self)[rows]

    slow = SimpleNamespace(images=noise.train.images.view(SlowImages), labels=noise.train.labels)
    trainer = new_trainer({**config, "batch_size": 8}, noise, feed=StreamedFeed(slow, chunk_bytes=6000))
    trainer.reset({**config, "batch_size": 8}, 1)
    assert trainer.epoch_secs() < 0.5, "7 steps of a few milliseconds"


def test_xla_trains_to_the_same_place(
    noise: Task, config: dict, new_trainer: Callable, curve: Callable
) -> None:
    # XLA draws other random numbers, so nothing random is left on inside what it compiles.
    calm = {**config, "dropout": 0.0, "head_dropout": 0.0}
    plain, compiled = (
        curve(new_trainer(calm, noise, plan=ExecutionPlan(xla=xla)), calm, seed=0, epochs=1)
        for xla in (False, True)
    )
    # Rounding differs between the two compilers; 2 steps keep it near float32's 1e-7 times the depth.
    assert compiled[0]["train_loss"] == pytest.approx(plain[0]["train_loss"], rel=1e-4)
