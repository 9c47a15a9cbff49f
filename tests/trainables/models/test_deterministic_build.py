"""Building a model: repeatable whatever was drawn before, and no burden on the models that are there already."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from toprung.trainables.task.task import Task


def drawn_while_built() -> list[float]:
    """A number from each source that a user's `build` may draw from."""
    import keras
    import tensorflow as tf

    from toprung.trainables.models.deterministic_build import deterministic_build

    with deterministic_build():
        drawn = [random.random(), np.random.rand(), tf.random.normal(()), tf.random.normal((), seed=5)]
        drawn += [keras.random.normal(()), keras.layers.Dense(1).kernel_initializer((1, 1))]
    return [float(np.squeeze(number)) for number in drawn]


def test_what_a_build_draws_repeats_whatever_was_drawn_before(one_thread: None) -> None:
    import keras
    import tensorflow as tf

    first = drawn_while_built()
    assert len(set(first)) == len(first)
    assert drawn_while_built() == first
    random.random(), np.random.rand(), tf.random.normal(()), keras.random.normal(())
    assert drawn_while_built() == first
    tf.random.set_seed(5)
    assert drawn_while_built() == first


def test_building_a_model_leaves_what_other_models_run_on(
    noise: Task, config: dict, new_trainer: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Setting TensorFlow's seed throws it away, and each of them would prepare to run anew at its next call."""
    import tensorflow as tf

    new_trainer(config, noise).train_epoch(1)
    reseeded: list[int] = []
    monkeypatch.setattr(tf.random, "set_seed", reseeded.append)
    new_trainer({**config, "filters": 6}, noise).train_epoch(1)
    new_trainer({**config, "filters": 10}, noise)
    assert not reseeded
