"""The exported model: raw images in, probabilities out, and nothing of toprung inside."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toprung.spaces.errors import InputError
from toprung.trainables.task.task import Task

pytestmark = pytest.mark.slow

ELSEWHERE = """
import sys
sys.modules["toprung"] = None  # importing it fails
import keras, numpy as np
model = keras.models.load_model(sys.argv[1])
assert model.inputs[0].dtype == "uint8"
np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))
"""


def test_it_loads_without_toprung_and_predicts_the_same(digits: Task, config: dict, tmp_path: Path) -> None:
    from toprung.trainables.models.cnn import CnnFamily
    from toprung.trainables.training.trainer import Trainer

    trainer = Trainer(CnnFamily(), config, digits)
    trainer.train_epoch(1)
    model = trainer.export()
    assert model.count_params() == trainer.parameter_count
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", digits.val.images)
    files = [str(tmp_path / name) for name in ("model.keras", "images.npy", "predicted.npy")]
    subprocess.run([sys.executable, "-I", "-c", ELSEWHERE, *files], cwd=tmp_path, check=True, timeout=120)
    predicted = np.load(tmp_path / "predicted.npy")
    assert predicted == pytest.approx(trainer.evaluate(digits.val).probabilities, abs=1e-5)
    assert predicted.sum(axis=1) == pytest.approx(np.ones(270), abs=1e-5)


def test_what_a_retraining_is_scored_by_computes_as_the_exported_model_does(
    digits: Task, config: dict
) -> None:
    from toprung.trainables.models.cnn import CnnFamily
    from toprung.trainables.training.trainer import Trainer
    from toprung.trainables.training.trainer_cache import TrainerCache
    from toprung.trainables.trial.execution import ExecutionPlan, ExecutionRequest
    from toprung.trainables.worker.retraining import in_single_precision

    cache, family = TrainerCache(request=ExecutionRequest(precision="mixed_bfloat16")), CnnFamily()
    trainer = cache.trainer(family, config, digits)
    trainer.reset(config, 0)
    trainer.train_epoch(1)
    predicted = trainer.export().predict(digits.val.images, verbose=0)
    half = trainer.evaluate(digits.val).probabilities
    assert np.abs(half - predicted).max() > 1e-4, "half precision rounds"

    def made(plan: ExecutionPlan) -> Trainer:
        single = cache.trainer(family, config, digits, plan, plan.micro_batches)
        single.reset(config, 0)
        return single

    single = in_single_precision(trainer, made)
    assert single.evaluate(digits.val).probabilities == pytest.approx(predicted, abs=1e-5)
    assert in_single_precision(single, made) is single


def test_training_goes_on_after_an_export(noise: Task, config: dict) -> None:
    from toprung.trainables.models.cnn import CnnFamily
    from toprung.trainables.training.trainer import Trainer

    trainer = Trainer(CnnFamily(), config, noise)
    trainer.train_epoch(1)
    before = trainer.state()
    trainer.export()
    assert all(np.array_equal(value, before[key]) for key, value in trainer.state().items())


def test_dropout_is_exported_with_the_rate_it_was_trained_with(noise: Task, config: dict) -> None:
    import keras

    from toprung.trainables.backend.keras_internals import all_layers
    from toprung.trainables.models.cnn import CnnFamily
    from toprung.trainables.training.trainer import Trainer

    trainer = Trainer(CnnFamily(), {**config, "head_dropout": 0.3}, noise)
    layers = all_layers(trainer.export())
    rates = [layer.rate for layer in layers if type(layer) is keras.layers.Dropout]
    assert rates == [pytest.approx(0.3)]


class RuntimeFamily:
    """A family whose one runtime hyperparameter is inside another model, or inside a layer of the user's own."""

    dynamic = frozenset({"rate"})

    def __init__(self, inside: Any) -> None:
        self.inside = inside

    def space(self, trial: Any) -> dict[str, Any]:
        del trial
        return {}

    def build(self, config: Any, task: Task) -> Any:
        import keras

        del config
        images = keras.Input(task.image_shape)
        x = self.inside(keras.layers.Rescaling(1 / 255)(images))
        x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.Model(images, keras.layers.Dense(task.outputs)(x))


def nested_model() -> Any:
    import keras

    from toprung.trainables.models.layers import RuntimeDropout

    images = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(images))
    return keras.Model(images, keras.Sequential([RuntimeDropout("rate")])(x), name="block")


def nested_model_that_resizes() -> Any:
    import keras

    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3)(keras.layers.Resizing(12, 12)(images))
    return keras.Model(images, keras.layers.BatchNormalization()(x), name="block")


def nested_model_of_its_own_kind() -> Any:
    import keras

    @keras.saving.register_keras_serializable("tests")
    class Negated(keras.Model):
        def call(self, images: Any, training: bool = False) -> Any:
            return -super().call(images, training=training)

    images = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(images))
    return Negated(images, x, name="negated")


def block(layer_key: str = "filters", filters: int = 4) -> Any:
    """A user's own layer around a convolution and a runtime dropout; its copy gets its width by `layer_key`."""
    import keras

    from toprung.trainables.models.layers import RuntimeDropout

    class Block(keras.layers.Layer):
        def __init__(self, filters: int = 8, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.filters = filters
            self.conv, self.drop = keras.layers.Conv2D(filters, 3), RuntimeDropout("rate")

        def call(self, images: Any, training: bool = False) -> Any:
            return self.drop(self.conv(images), training=training)

        def get_config(self) -> dict[str, Any]:
            return {**keras.layers.Layer.get_config(self), layer_key: self.filters}

    return Block(filters, name="my_block")


def test_a_model_within_keeps_its_own_way_of_computing(noise: Task) -> None:
    from toprung.trainables.training.trainer import Trainer

    trainer = Trainer(RuntimeFamily(nested_model_of_its_own_kind()), {"batch_size": 16}, noise)
    trainer.reset({"batch_size": 16}, 1)
    trainer.train_epoch(1)
    exported = np.asarray(trainer.export()(noise.val.images))
    assert exported == pytest.approx(trainer.evaluate(noise.val).probabilities, abs=1e-6)


def test_an_exported_model_that_resizes_does_not_train_when_it_is_called(noise: Task) -> None:
    from toprung.trainables.training.trainer import Trainer

    trainer = Trainer(RuntimeFamily(nested_model_that_resizes()), {"batch_size": 16}, noise)
    trainer.reset({"batch_size": 16}, 1)
    trainer.train_epoch(1)
    model = trainer.export()
    for _ in range(2):  # the first call must not change what the second one answers
        exported = np.asarray(model(noise.val.images))
        assert exported == pytest.approx(trainer.evaluate(noise.val).probabilities, abs=1e-6)


@pytest.mark.parametrize("made", [nested_model, block])
def test_a_runtime_hyperparameter_may_be_inside_another_model_or_layer(
    noise: Task, made: Callable[[], Any]
) -> None:
    from toprung.trainables.backend.keras_internals import all_layers
    from toprung.trainables.training.trainer import Trainer

    config = {"rate": 0.4, "batch_size": 16}
    trainer = Trainer(RuntimeFamily(made()), config, noise)
    trainer.reset(config, 1)
    trainer.train_epoch(1)
    model = trainer.export()
    assert np.asarray(model(noise.val.images)) == pytest.approx(
        trainer.evaluate(noise.val).probabilities, abs=1e-6
    )
    rates = [float(np.asarray(layer.rate)) for layer in all_layers(model) if hasattr(layer, "rate")]
    assert rates == [pytest.approx(0.4)]


def test_a_model_that_depends_on_the_training_recipe_is_refused_when_it_is_built(noise: Task) -> None:
    import keras

    from toprung.trainables.models.build import build_model

    class DependentFamily(RuntimeFamily):
        def build(self, config: Any, task: Task) -> Any:
            self.inside = keras.layers.BatchNormalization(momentum=config["momentum"])
            config.get("ema")
            return super().build(config, task)

    with pytest.raises(InputError, match="build reads ema, momentum, of the training recipe"):
        build_model(DependentFamily(None), {"momentum": 0.9, "rate": 0.1}, noise, "float32")


def test_a_layer_that_cannot_be_copied_is_refused_when_its_model_is_first_built(noise: Task) -> None:
    import keras

    from toprung.trainables.models.build import build_model

    def problem(layer: Any) -> str:
        with pytest.raises(InputError) as caught:
            build_model(RuntimeFamily(layer), {}, noise, "float32")
        return str(caught.value.problems[0])

    assert "'my_block' (Block)" in problem(block(layer_key="other")), "an argument the layer does not have"
    function = problem(keras.layers.Lambda(lambda x: x * 2.0))
    assert "(Lambda) cannot be copied" in function and "a function must be a layer" in function
    assert "safe_mode" not in function, "no file of a model is loaded otherwise"


def test_a_model_that_only_its_own_code_knows_is_refused_when_it_is_built(noise: Task) -> None:
    import keras

    from toprung.trainables.models.family import check_model

    class Own(keras.Model):
        def call(self, images: Any) -> Any:
            return images

    model = Own()
    model(np.zeros((1, 3), np.float32))
    with pytest.raises(InputError, match="build returned a Own, whose layers Keras cannot copy"):
        check_model(model, noise)


@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_the_exported_model_averages_over_mirror_images_as_the_trained_one_does(
    digits: Task, config: dict, tmp_path: Path, temperature: float
) -> None:
    import keras

    from toprung.trainables.models.cnn import CnnFamily
    from toprung.trainables.task.task import Split
    from toprung.trainables.training.trainer import Trainer

    trainer = Trainer(CnnFamily(), {**config, "flip_average": True}, digits)
    trainer.train_epoch(1)
    logits = trainer.evaluate(digits.val).logits
    mirrored = Split(np.asarray(digits.val.images)[:, :, ::-1], digits.val.labels)
    assert trainer.evaluate(mirrored).logits == pytest.approx(logits, abs=1e-4), "left and right count alike"
    trainer.export(temperature).save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    expected = np.exp(logits / temperature)
    expected /= expected.sum(axis=1, keepdims=True)
    assert model.predict(digits.val.images, verbose=0) == pytest.approx(expected, abs=1e-5)
