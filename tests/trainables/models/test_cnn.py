"""The CNN family: every corner of its space is a model, and its dropout is a runtime hyperparameter."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from toprung.trainables.task.task import Task

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "blocks,pooling,head", itertools.product([1, 4], ["max", "average"], ["flatten", "global_average"])
)
def test_every_depth_fits_a_small_image(
    noise: Task, config: dict, blocks: int, pooling: str, head: str
) -> None:
    from toprung.trainables.models.cnn import CnnFamily

    settings = {
        **config,
        "blocks": blocks,
        "pooling": pooling,
        "head": head,
        "convs_per_block": 2,
        "kernel_size": 5,
    }
    model = CnnFamily().build(settings, noise)
    outputs = model(noise.val.images.astype(np.float32))
    assert outputs.shape == (20, 3)
    assert np.isfinite(np.asarray(outputs)).all()


def test_the_parameters_are_those_of_the_definition(noise: Task, config: dict) -> None:
    from toprung.trainables.models.cnn import CnnFamily
    from toprung.trainables.training.trainer import Trainer

    settings = {**config, "batch_norm": False, "head": "global_average", "dense_units": 5}
    # 3x3 kernels from 3 to 8 and from 8 to 16 channels, 16 features to 5 units, 5 units to 3 classes, and biases.
    count = (9 * 3 * 8 + 8) + (9 * 8 * 16 + 16) + (16 * 5 + 5) + (5 * 3 + 3)
    assert Trainer(CnnFamily(), settings, noise).parameter_count == count
    # Batch norm has four numbers a channel and takes the place of the convolutions' biases.
    normed = Trainer(CnnFamily(), {**settings, "batch_norm": True}, noise)
    assert normed.parameter_count == count + 3 * (8 + 16)


CIFAR = Task((32, 32, 3), tuple("0123456789"), 1, None, None)


# Convolutions, then dense layers, each with its biases; cnn_max_norm adds four numbers a channel for each batch norm.
@pytest.mark.parametrize(
    "preset,parameters",
    [
        ("cnn_small", 896 + 18_496 + 36_928 + (4 * 4 * 64 + 1) * 64 + 650),
        (
            "cnn_max_norm",
            896 + 18_496 + 36_928 + 73_856 + (8 * 8 * 128 + 1) * 256 + 257 * 128 + 1290
            + 4 * (32 + 64 + 64 + 128 + 256 + 128),
        ),
    ],
)  # fmt: skip
def test_presets_have_the_parameters_of_their_references(
    one_thread: None, preset: str, parameters: int
) -> None:
    from toprung.spaces.families.presets import PRESETS
    from toprung.trainables.training.trainer import Trainer

    assert parameters == {"cnn_small": 122_570, "cnn_max_norm": 2_264_458}[preset]
    empty = SimpleNamespace(images=np.zeros((1, 32, 32, 3), np.uint8), labels=np.zeros(1, np.int32))
    task = Task(CIFAR.image_shape, CIFAR.classes, 1, empty, empty)
    assert Trainer(family(), PRESETS[preset].config, task).parameter_count == parameters


def test_the_vgg_preset_is_four_pairs_of_convolutions_and_a_wide_head(one_thread: None) -> None:
    import keras

    from toprung.spaces.families.presets import PRESETS

    model = family().build(PRESETS["cnn_vgg"].config, CIFAR)
    convs = [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert convs == [64, 64, 128, 128, 256, 256, 512, 512]
    dense = [layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert dense == [512, 10]


VARIANTS = [
    {"block_type": "residual", "pooling": "strided"},
    {"block_type": "residual", "convs_per_block": 2, "batch_norm": False, "activation": "gelu"},
    {"block_type": "separable", "convs_per_block": 3, "pooling": "average", "norm_place": "block_end"},
    {"block_type": "separable", "pooling": "strided", "activation": "silu"},
    {"pooling": "strided", "blocks": 5, "activation": "elu", "padding": "valid"},
    {"padding": "valid", "kernel_size": 5, "blocks": 5, "pixel_range": "unit"},
    {"dense_units": 8, "dense_units_2": 4, "max_norm": 2.0, "head_l2": 1e-2, "dropout_step": 0.1},
    {"conv_max_norm": 2.0, "block_type": "residual"},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: "-".join(map(str, variant.values())))
def test_each_variant_trains_resumes_and_leaves_as_stock_layers(
    noise: Task, config: dict, variant: dict
) -> None:
    from toprung.trainables.training.trainer import Trainer

    settings = {**config, **variant}
    trainer = Trainer(family(), settings, noise)
    trainer.reset(settings, 1)
    trainer.train_epoch(1)
    saved = trainer.state()
    straight = trainer.train_epoch(2)["val_loss"]
    exported = trainer.export()
    assert exported.count_params() == trainer.parameter_count
    probabilities = np.asarray(exported(noise.val.images))
    assert probabilities == pytest.approx(trainer.evaluate(noise.val).probabilities, abs=1e-5)
    trainer.reset(settings, 2)
    trainer.train_epoch(1)  # a state has to replace all that another trial left
    trainer.reset(settings, 1)
    trainer.load_state(saved)
    assert trainer.train_epoch(2)["val_loss"] == straight
    assert np.isfinite(straight)


def test_every_kernel_is_drawn_from_the_trials_seed(noise: Task, config: dict) -> None:
    from toprung.trainables.training.trainer import Trainer

    settings = {**config, "block_type": "separable", "batch_norm": False}
    trainer = Trainer(family(), settings, noise)
    drawn = []
    for seed in (1, 2):
        trainer.reset(settings, seed)
        drawn.append(trainer.state()["optimizer/weights"])
    # Biases start at 0; everything else is random and so differs.
    assert ((drawn[0] != drawn[1]) == (drawn[0] != 0)).all()


def test_a_depthwise_kernel_keeps_the_scale_of_what_it_sees(one_thread: None, config: dict) -> None:
    import keras

    settings = {**config, "block_type": "separable", "filters": 64}
    model = family().build(settings, Task((32, 32, 3), ("a", "b"), 1, None, None))
    layer = next(layer for layer in model.layers if isinstance(layer, keras.layers.SeparableConv2D))
    # 9 * 64 normal draws of variance 1/9 (truncation corrected by Keras): the sample variance is within 5
    # standard errors, 5 * sqrt(2 / 576) = 0.29 of itself.
    assert np.asarray(layer.depthwise_kernel).var() * 9 == pytest.approx(1, abs=0.3)


def test_the_heads_penalty_is_a_runtime_hyperparameter(noise: Task, config: dict) -> None:
    from toprung.trainables.training.trainer import Trainer

    settings = {**config, "dense_units": 16, "optimizer": "sgd", "learning_rate": 0.05, "weight_decay": 0.0}
    trainer = Trainer(family(), {**settings, "head_l2": 0.0}, noise)
    norms = []
    for strength in (0.0, 1.0):
        trainer.reset({**settings, "head_l2": strength}, 0)
        trainer.train_epoch(1)
        network = trainer.compiled.network
        weights = network.unflatten(trainer.state()["optimizer/weights"])
        named = zip(network.weights, weights, strict=True)
        kernels = (value for variable, value in named if variable.path.startswith("runtime_dense"))
        norms.append(np.linalg.norm(next(kernels)))
    assert norms[1] < 0.9 * norms[0]
    assert trainer.traces == 1


def test_the_max_norm_holds_for_each_unit(noise: Task, config: dict) -> None:
    from toprung.trainables.backend.keras_internals import all_layers
    from toprung.trainables.training.trainer import Trainer

    settings = {**config, "dense_units": 16, "max_norm": 0.5, "optimizer": "sgd", "learning_rate": 0.5}
    trainer = Trainer(family(), settings, noise)
    trainer.train_epoch(1)
    dense = next(layer for layer in all_layers(trainer.export()) if getattr(layer, "units", 0) == 16)
    assert np.linalg.norm(np.asarray(dense.kernel), axis=0).max() <= 0.5 * (1 + 1e-5)


@pytest.mark.parametrize("block_type", ["plain", "separable"])
def test_the_max_norm_of_convolutions_holds_for_each_filter(
    noise: Task, config: dict, block_type: str
) -> None:
    from toprung.trainables.training.trainer import Trainer

    bound = {"conv_max_norm": 0.5, "block_type": block_type, "optimizer": "sgd", "learning_rate": 0.5}
    trainer = Trainer(family(), {**config, **bound}, noise)
    trainer.train_epoch(1)
    kernels = [np.asarray(v) for v in trainer.export().trainable_variables if len(v.shape) == 4]
    assert len(kernels) == {"plain": 2, "separable": 3}[block_type]
    for kernel in kernels:
        axis = (0, 1) if kernel.shape[-1] == 1 else (0, 1, 2)  # a depthwise filter sees one channel
        assert np.sqrt((kernel**2).sum(axis=axis)).max() <= 0.5 * (1 + 1e-5)


def test_dropout_grows_from_block_to_block(noise: Task, config: dict) -> None:
    import keras

    from toprung.trainables.backend.keras_internals import all_layers
    from toprung.trainables.training.trainer import Trainer

    settings = {**config, "blocks": 3, "dropout": 0.1, "dropout_step": 0.15}
    layers = all_layers(Trainer(family(), settings, noise).export())
    rates = [layer.rate for layer in layers if isinstance(layer, keras.layers.SpatialDropout2D)]
    assert sorted(rates) == pytest.approx([0.1, 0.25, 0.4])


def family():
    from toprung.trainables.models.cnn import CnnFamily

    return CnnFamily()


def test_classes_and_image_shape_come_from_the_task(noise: Task, config: dict) -> None:
    from toprung.trainables.models.cnn import CnnFamily

    task = replace(noise, image_shape=(20, 12, 1), classes=("x", "y"))
    model = CnnFamily().build(config, task)
    assert model.input_shape == (None, 20, 12, 1)
    assert model.output_shape == (None, 2)


def test_dropout_at_rate_zero_is_the_identity_and_outside_training_too(one_thread: None) -> None:
    from toprung.trainables.models.layers import RuntimeDropout

    layer, inputs = RuntimeDropout("dropout"), np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    assert np.array_equal(layer(inputs, training=True), inputs)
    layer.rate.assign(0.9)
    assert np.array_equal(layer(inputs, training=False), inputs)


def test_dropout_drops_its_rate_and_keeps_the_mean(one_thread: None) -> None:
    from toprung.trainables.models.layers import RuntimeDropout

    layer = RuntimeDropout("dropout")
    layer.rate.assign(0.25)
    outputs = np.asarray(layer(np.ones((100, 1000), np.float32), training=True))
    assert set(np.unique(outputs).tolist()) == {0.0, np.float32(1 / 0.75)}
    # 1e5 draws: the standard error of the share is sqrt(0.25 * 0.75 / 1e5) = 0.0014; five of them.
    assert abs((outputs == 0).mean() - 0.25) < 0.007


def test_whole_channels_drop_together(one_thread: None) -> None:
    from toprung.trainables.models.layers import RuntimeDropout

    layer = RuntimeDropout("dropout", whole_channels=True)
    layer.rate.assign(0.5)
    kept = np.asarray(layer(np.ones((8, 3, 3, 16), np.float32), training=True)) > 0
    assert (kept == kept[:, :1, :1]).all()
    assert 0 < kept.mean() < 1
