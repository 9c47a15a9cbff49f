"""The CNN family: every corner of its space is a model, and its dropout is a dial."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from trainables.task import Task

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "blocks,pooling,head", itertools.product([1, 4], ["max", "average"], ["flatten", "global_average"])
)
def test_every_depth_fits_a_small_image(
    noise: Task, config: dict, blocks: int, pooling: str, head: str
) -> None:
    from trainables.cnn import CnnFamily

    chosen = {
        **config,
        "blocks": blocks,
        "pooling": pooling,
        "head": head,
        "convs_per_block": 2,
        "kernel_size": 5,
    }
    model = CnnFamily().build(chosen, noise)
    outputs = model(noise.val.images.astype(np.float32))
    assert outputs.shape == (20, 3)
    assert np.isfinite(np.asarray(outputs)).all()


def test_the_parameters_are_those_of_the_definition(noise: Task, config: dict) -> None:
    from trainables.cnn import CnnFamily
    from trainables.trainer import Trainer

    chosen = {**config, "batch_norm": False, "head": "global_average", "dense_units": 5}
    # 3x3 kernels from 3 to 8 and from 8 to 16 channels, 16 features to 5 units, 5 units to 3 classes, and biases.
    count = (9 * 3 * 8 + 8) + (9 * 8 * 16 + 16) + (16 * 5 + 5) + (5 * 3 + 3)
    assert Trainer(CnnFamily(), chosen, noise).parameter_count == count
    # Batch norm has four numbers a channel and takes the place of the convolutions' biases.
    normed = Trainer(CnnFamily(), {**chosen, "batch_norm": True}, noise)
    assert normed.parameter_count == count + 3 * (8 + 16)


def test_classes_and_image_shape_come_from_the_task(noise: Task, config: dict) -> None:
    from trainables.cnn import CnnFamily

    task = replace(noise, image_shape=(20, 12, 1), classes=("x", "y"))
    model = CnnFamily().build(config, task)
    assert model.input_shape == (None, 20, 12, 1)
    assert model.output_shape == (None, 2)


def test_dropout_at_rate_zero_is_the_identity_and_outside_training_too(one_thread: None) -> None:
    from trainables.layers import DialledDropout

    layer, inputs = DialledDropout("dropout"), np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    assert np.array_equal(layer(inputs, training=True), inputs)
    layer.rate.assign(0.9)
    assert np.array_equal(layer(inputs, training=False), inputs)


def test_dropout_drops_its_rate_and_keeps_the_mean(one_thread: None) -> None:
    from trainables.layers import DialledDropout

    layer = DialledDropout("dropout")
    layer.rate.assign(0.25)
    outputs = np.asarray(layer(np.ones((100, 1000), np.float32), training=True))
    assert set(np.unique(outputs).tolist()) == {0.0, np.float32(1 / 0.75)}
    # 1e5 draws: the standard error of the share is sqrt(0.25 * 0.75 / 1e5) = 0.0014; five of them.
    assert abs((outputs == 0).mean() - 0.25) < 0.007


def test_whole_channels_drop_together(one_thread: None) -> None:
    from trainables.layers import DialledDropout

    layer = DialledDropout("dropout", whole_channels=True)
    layer.rate.assign(0.5)
    kept = np.asarray(layer(np.ones((8, 3, 3, 16), np.float32), training=True)) > 0
    assert (kept == kept[:, :1, :1]).all()
    assert 0 < kept.mean() < 1
