"""Private interfaces of Keras and TensorFlow: one file for each library, and a test that names what a version lacks."""

from __future__ import annotations

import random
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]
PRIVATE = re.compile(r"keras\.src|tensorflow\.python|compat\.v1|\._flatten_layers|(?<!self)\._layers\b")
HOMES = {"keras_internals.py", "tensorflow_internals.py"}
KERAS = [
    ("keras", "Layer._flatten_layers"),
    ("keras.src.backend.common.global_state", "set_global_attribute"),
    ("keras.src.models.functional", "Functional._run_through_graph"),
    ("keras.src.models.functional", "Functional._standardize_inputs"),
    ("keras.src.models.functional", "Functional.call"),
    ("keras.src.models.functional", "operation_fn"),
    ("keras.src.random.seed_generator", "GLOBAL_SEED_GENERATOR"),
    ("keras.src.utils.rng_utils", "GLOBAL_RANDOM_SEED"),
]
TENSORFLOW = [("tensorflow.python.eager.context", "global_seed")]


def test_private_interfaces_are_used_in_their_own_files_alone() -> None:
    packages = ("search", "cluster", "results", "trainables", "spaces")
    files = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    users = {path.name for path in files if PRIVATE.search(path.read_text())}
    assert users == HOMES


@pytest.mark.slow
@pytest.mark.parametrize(("module", "name"), [*KERAS, *TENSORFLOW])
def test_the_library_still_has_it(one_thread: None, module: str, name: str) -> None:
    found = import_module(module)
    for part in name.split("."):
        assert hasattr(found, part), f"{module}.{name} is gone: mend trainables/backend/*_internals.py"
        found = getattr(found, part)


@pytest.mark.slow
def test_layers_still_hold_their_sublayers_as_layers(one_thread: None) -> None:
    import keras

    inner = keras.Sequential([keras.layers.Dense(2), keras.layers.ReLU()])
    assert hasattr(inner, "_layers"), (
        "keras.Layer._layers is gone: mend trainables/backend/keras_internals.py"
    )


@pytest.mark.slow
def test_nested_layers_are_all_found_and_direct_ones_told_apart(one_thread: None) -> None:
    import keras

    from toprung.trainables.backend.keras_internals import all_layers, sublayers

    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")], name="inner")
    outer = keras.Sequential([keras.Input((3,)), inner, keras.layers.ReLU(name="relu")], name="outer")
    names = {layer.name for layer in all_layers(outer)}
    assert {"outer", "inner", "dense", "relu"} <= names
    assert {"inner", "relu"} <= {layer.name for layer in sublayers(outer)} - {"dense"}


@pytest.mark.slow
def test_a_model_with_a_call_of_its_own_is_no_plain_graph(one_thread: None) -> None:
    import keras

    from toprung.trainables.backend.keras_internals import is_plain_graph

    class Own(keras.Model):
        def call(self, inputs):
            return -super().call(inputs)

    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(2)(inputs)
    assert is_plain_graph(keras.Model(inputs, outputs))
    assert is_plain_graph(keras.Sequential([inputs, keras.layers.Dense(2)]))
    assert not is_plain_graph(Own(inputs, outputs))
    assert not is_plain_graph(keras.layers.Dense(2))


@pytest.mark.slow
def test_with_pythons_seed_keras_draws_the_same_again(one_thread: None) -> None:
    import keras

    from toprung.trainables.backend.keras_internals import seed_keras

    def draw(seed: int) -> list[float]:
        random.seed(seed)
        seed_keras(seed)
        drawn = [keras.random.normal((3,)), keras.initializers.GlorotUniform()((3, 1))]
        return np.concatenate([np.ravel(values) for values in drawn]).tolist()

    assert draw(1) == draw(1) != draw(2)


@pytest.mark.slow
def test_the_seed_of_tensorflow_can_be_read(one_thread: None) -> None:
    import tensorflow as tf

    from toprung.trainables.backend.tensorflow_internals import global_seed

    tf.random.set_seed(7)
    assert global_seed() == 7
