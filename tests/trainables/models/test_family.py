"""A user's own family: one file, trained, reset and exported like ours."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from toprung.spaces.errors import InputError
from toprung.spaces.families.registry import load_space
from toprung.trainables.models.family import check_model, load_family, structural_signature
from toprung.trainables.task.task import Task

EXAMPLE = Path(__file__).parents[1] / "my_models.py"


def test_the_worked_example_fits_on_a_screen() -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 40


@pytest.mark.slow
@pytest.mark.parametrize("gate", [True, False])
def test_the_worked_example_learns_digits_and_leaves_as_a_model(digits: Task, gate: bool) -> None:
    import random

    from toprung.spaces.definition.introspection import RecordingTrial
    from toprung.trainables.training.trainer import Trainer

    fixed = {"gate": gate, "learning_rate": 1e-2, "augment": 0.0, "batch_size": 32, "width": 8}
    config = load_space(f"{EXAMPLE}:MyFamily", fixed)(RecordingTrial(random.Random(0), {}))
    trainer = Trainer(load_family(f"{EXAMPLE}:MyFamily"), config, digits)
    trainer.reset(config, 1)
    losses = [trainer.train_epoch(epoch)["val_loss"] for epoch in (1, 2)]
    assert trainer.evaluate(digits.val).accuracy > 0.8
    trainer.reset(config, 1)
    assert trainer.train_epoch(1)["val_loss"] == losses[0]
    trainer.train_epoch(2)
    probabilities = np.asarray(trainer.export()(digits.val.images))
    assert probabilities == pytest.approx(trainer.evaluate(digits.val).probabilities, abs=1e-5)


class Sequences:
    """What a user may build of layers that read an image row by row."""

    def space(self, trial):
        return {}

    def build(self, config, task):
        import keras

        def drawn(shape, dtype=None):
            return keras.random.normal(shape, stddev=0.1, dtype=dtype)

        images = keras.Input(task.image_shape)
        rows = keras.layers.Reshape((task.image_shape[0], -1))(keras.layers.Rescaling(1 / 255)(images))
        rows = keras.layers.Dense(64, kernel_initializer=drawn, name="rows")(rows)
        rows = keras.layers.MultiHeadAttention(4, 16, name="attention")(rows, rows)
        return keras.Model(images, keras.layers.Dense(task.outputs)(keras.layers.LSTM(16, name="lstm")(rows)))


@pytest.mark.slow
def test_a_trial_starts_from_weights_like_those_that_keras_builds(noise: Task) -> None:
    from toprung.trainables.backend.keras_internals import all_layers
    from toprung.trainables.models.initialization import Reinitializer

    model = Sequences().build({}, noise)
    reinitializer = Reinitializer(all_layers(model))
    drawn, again = (
        list(reinitializer.initial_values(model.variables, {}, seed=1, stream=0)) for _ in range(2)
    )
    assert all(np.array_equal(one, other) for one, other in zip(drawn, again, strict=True))
    values = {variable.path: value for variable, value in zip(model.variables, drawn, strict=True)}
    kernel = values["attention/query/kernel"]  # (64, 4, 16): 64 in and 64 out, so that the variance is 1 / 64
    # The sample variance of 4096 uniform draws is within 5 * sqrt(0.8 / 4096) = 0.07 of itself.
    assert kernel.var() * 64 == pytest.approx(1, abs=0.07)
    assert (
        values["lstm/lstm_cell/bias"].tolist() == [0.0] * 16 + [1.0] * 16 + [0.0] * 32
    )  # it forgets nothing at first


@pytest.mark.slow
def test_biases_of_several_axes_are_no_kernels_to_decay(noise: Task) -> None:
    from toprung.trainables.training.heads import head_for
    from toprung.trainables.training.network import Network

    network = Network(Sequences().build({}, noise), head_for(noise))
    pieces = np.split(network.decays(), np.cumsum(network.sizes)[:-1])
    decays = {variable.path: piece for variable, piece in zip(network.weights, pieces, strict=True)}
    assert not decays["attention/query/bias"].any()
    assert decays["attention/query/kernel"].all()
    assert all(piece.any() == ("bias" not in path) for path, piece in decays.items())


@pytest.mark.slow
def test_all_that_is_built_in_can_be_loaded(one_thread: None) -> None:
    from toprung.spaces.families.built_in import BUILT_IN
    from toprung.trainables.models.family import Family

    for name in BUILT_IN:
        assert isinstance(load_family(name), Family)


def test_an_unknown_family_and_one_that_lacks_a_method_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='did you mean "cnn"'):
        load_family("cnnn")
    file = tmp_path / "half_a_family.py"
    file.write_text("class Half:\n    def space(self, trial): return {}\n")
    with pytest.raises(InputError, match="lacks build"):
        load_family(f"{file}:Half")


@pytest.mark.parametrize("returned", [None, ("a model", "a loss")])
def test_a_build_that_returns_no_model_is_refused(returned: object) -> None:
    with pytest.raises(InputError, match=f"build returned a {type(returned).__name__}; return keras.Model"):
        check_model(returned, Task((8, 8, 3), ("a", "b"), 1, None, None))


@pytest.mark.parametrize("shape", [(None, 5, 5, 3), (None, None, None, 3), [(None, 8, 8, 3)] * 2])
def test_a_model_for_other_images_is_refused(shape: object) -> None:
    model: Any = SimpleNamespace(built=True, input_shape=shape, output_shape=(None, 2))
    with pytest.raises(InputError, match=r"a model for inputs .*; must be \(None, 8, 8, 3\)"):
        check_model(model, Task((8, 8, 3), ("a", "b"), 1, None, None))


def test_values_of_runtime_hyperparameters_do_not_change_a_signature_and_their_presence_does() -> None:
    class RuntimeFamily:
        dynamic = frozenset({"rate"})

    task = Task((8, 8, 3), ("a", "b"), 1, None, None)

    def signature(**config):
        return structural_signature(RuntimeFamily(), config, task)

    assert signature(rate=0.1, width=3, learning_rate=1) == signature(rate=0.9, width=3, batch_size=2)
    assert signature(rate=0.1, width=3) != signature(width=3)
    assert signature(rate=0.1, width=3) != signature(rate=0.1, width=4)
