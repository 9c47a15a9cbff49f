"""What every engine does, whatever its backend: a new engine is one more entry of `engines`."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np
import pytest

pytestmark = pytest.mark.slow

IS_JAX = os.environ.get("KERAS_BACKEND") == "jax"
WEIGHTS = np.array([1.0, -2.0, 3.0], np.float32)


class Pair(NamedTuple):
    """A tree of two tensors."""

    one: Any
    other: Any


@pytest.fixture(params=["jax"] if IS_JAX else ["plain", "xla"])
def engine(request: pytest.FixtureRequest, one_thread: None) -> Any:
    """The engines of this process's backend."""
    import keras

    from toprung.trainables.backend.engine import engine_for

    return engine_for(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), request.param == "xla")


def loss_of(weights: Any) -> tuple[Any, Pair]:
    from keras import ops

    return ops.sum(ops.square(weights)), Pair(2.0 * weights, ops.max(weights))


def test_it_says_whether_it_compiles_with_xla(engine: Any, request: pytest.FixtureRequest) -> None:
    assert engine.xla is (request.node.callspec.params["engine"] != "plain")


def test_it_differentiates_a_loss_and_returns_the_rest(engine: Any) -> None:
    from keras import ops

    extra, gradient = engine.value_and_grad(loss_of, ops.convert_to_tensor(WEIGHTS))
    assert np.asarray(gradient) == pytest.approx(2.0 * WEIGHTS)
    assert isinstance(extra, Pair)
    assert np.asarray(extra.one) == pytest.approx(2.0 * WEIGHTS)
    assert float(np.asarray(extra.other)) == 3.0


def test_a_compiled_function_takes_and_returns_trees_with_axes_of_any_length(engine: Any) -> None:
    import keras

    def swap(pair: Pair, factor: Any) -> Pair:
        return Pair(factor * pair.other, pair.one)

    free, scalar = keras.KerasTensor((None,), "float32"), keras.KerasTensor((), "float32")
    compiled = engine.compile(swap, [Pair(free, free), scalar])
    for length in (1, 3, 5):
        values = np.arange(length, dtype=np.float32)
        result = compiled(Pair(values, values + 1.0), np.float32(2.0))
        assert np.asarray(result.one) == pytest.approx(2.0 * (values + 1.0))
        assert np.asarray(result.other) == pytest.approx(values)


def test_gradients_can_be_taken_in_a_compiled_loop(engine: Any) -> None:
    import keras
    from keras import ops

    def descend(weights: Any, steps: Any) -> Any:
        def body(step: Any, weights: Any) -> tuple[Any, Any]:
            _, gradient = engine.value_and_grad(loss_of, weights)
            return step + 1, weights - 0.25 * gradient

        return ops.while_loop(lambda step, _: step < steps, body, (ops.zeros((), "int32"), weights))[1]

    signature = [keras.KerasTensor((3,), "float32"), keras.KerasTensor((), "int32")]
    found = engine.compile(descend, signature)(WEIGHTS, np.int32(3))
    assert np.asarray(found) == pytest.approx(WEIGHTS * 0.5**3)


def scaled(values: Any, factor: Any) -> Any:
    return factor * values


@pytest.mark.parametrize("states_shape", [False, True])
def test_a_shared_function_gives_what_a_call_gives(engine: Any, states_shape: bool) -> None:
    import keras

    def twice(values: Any, factor: Any) -> Any:
        like = values if states_shape else None
        return engine.call_shared(scaled, [engine.call_shared(scaled, [values, factor], like), factor], like)

    for length in (2, 4):
        signature = [keras.KerasTensor((length,), "float32"), keras.KerasTensor((), "float32")]
        values = np.arange(length, dtype=np.float32)
        found = engine.compile(twice, signature)(values, np.float32(3.0))
        assert np.asarray(found) == pytest.approx(9.0 * values)


def test_all_of_this_holds_under_jax() -> None:
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    others = ["-k", "not under_jax"]
    command = [sys.executable, "-m", "pytest", __file__, "-q", "-p", "no:cacheprovider", *others]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
