"""Real tasks small enough to train on in a test, a configuration that learns them, and trainers for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import DataSpec, load
from toprung.trainables.task.task import Task


def split(images: np.ndarray, labels: np.ndarray) -> SimpleNamespace:
    return SimpleNamespace(images=images, labels=labels.astype(np.int32))


@pytest.fixture
def problem_of() -> Callable[[DataSpec, Path], tuple[str, str]]:
    """Where loading a data set fails, and the one line that says why."""

    def load_in_vain(spec: DataSpec, cache: Path) -> tuple[str, str]:
        with pytest.raises(InputError) as caught:
            load(spec, cache)
        first = caught.value.problems[0]
        assert "\n" not in str(first)
        assert not list(cache.glob("*.part")), "a failed decoding leaves nothing behind"
        return first.where, str(first)

    return load_in_vain


@pytest.fixture(scope="session")
def one_thread() -> None:
    """Keras, computing as a worker with one CPU does (unless an earlier test has already started it)."""
    from toprung.trainables.backend.engine import limit_threads

    with contextlib.suppress(RuntimeError):
        limit_threads(1)


@pytest.fixture(scope="session")
def digits(one_thread: None) -> Task:
    """scikit-learn's digits at 16x16: 1257 to train on, 270 to validate."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = (raw.images * (255 / 16)).astype(np.uint8).repeat(2, axis=1).repeat(2, axis=2)[..., None]
    order = np.random.default_rng(0).permutation(len(images))
    train, val = order[:1257], order[1257:1527]
    names = tuple("0123456789")
    return Task(
        (16, 16, 1), names, 6, split(images[train], raw.target[train]), split(images[val], raw.target[val])
    )


@pytest.fixture(scope="session")
def noise(one_thread: None) -> Task:
    """70 random 8x8 colour images of three classes: nothing to learn, quick to train."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (70, 8, 8, 3), dtype=np.uint8), rng.integers(0, 3, 70)
    return Task(
        (8, 8, 3), ("a", "b", "c"), 4, split(images[:50], labels[:50]), split(images[50:], labels[50:])
    )


@pytest.fixture
def new_trainer() -> Callable:
    """Build a trainer of the CNN family."""

    def make(config: dict, task: Task, **named: Any) -> Any:
        from toprung.trainables.models.cnn import CnnFamily
        from toprung.trainables.training.trainer import Trainer

        return Trainer(CnnFamily(), config, task, **named)

    return make


@pytest.fixture
def exact() -> Callable[[dict[str, float]], dict[str, float]]:
    """Everything of an epoch's metrics but the clock."""

    def without_clock(metrics: dict[str, float]) -> dict[str, float]:
        return {key: value for key, value in metrics.items() if key != "images_per_sec"}

    return without_clock


@pytest.fixture
def curve(exact: Callable) -> Callable:
    """The exact metrics of a trial's first epochs."""

    def train(trainer: Any, config: dict, seed: int, epochs: int = 2) -> list[dict[str, float]]:
        trainer.reset(config, seed)
        return [exact(trainer.train_epoch(epoch)) for epoch in range(1, epochs + 1)]

    return train


@pytest.fixture
def config() -> dict[str, object]:
    """A small CNN with a value for each of its runtime hyperparameters."""
    return {
        "filters": 8,
        "filter_growth": 2.0,
        "blocks": 2,
        "convs_per_block": 1,
        "kernel_size": 3,
        "batch_norm": True,
        "pooling": "max",
        "head": "flatten",
        "dense_units": 0,
        "dropout": 0.05,
        "head_dropout": 0.1,
        "augment": 0.1,
        "flip": False,
        "optimizer": "adamw",
        "learning_rate": 5e-3,
        "warmup_share": 0.1,
        "weight_decay": 1e-3,
        "momentum": 0.9,
        "label_smoothing": 0.05,
        "batch_size": 32,
    }


@pytest.fixture(scope="session")
def shapes(one_thread: None) -> Task:
    """480 images 12x12 on which a bar, a block and a bright corner each are or are not, independently."""
    return shapes_task()


def shapes_of(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 (N, 12, 12, 3), and which of the three shapes each shows, (N, 3); the corner is rare."""
    rng = np.random.default_rng(seed)
    labels = (rng.uniform(size=(count, 3)) < [0.5, 0.4, 0.15]).astype(np.int64)
    images = rng.integers(0, 60, (count, 12, 12, 3))
    images[:, 5, :, 0] += 180 * labels[:, 0, None]
    images[:, 7:10, 2:5, 1] += 180 * labels[:, 1, None, None]
    images[:, :3, 9:, 2] += 180 * labels[:, 2, None, None]
    return images.astype(np.uint8), labels


def shapes_task() -> Task:
    images, labels = shapes_of(480, 0)
    names = ("bar", "block", "corner")
    train, val = split(images[:360], labels[:360]), split(images[360:], labels[360:])
    return Task((12, 12, 3), names, 6, train, val, "multilabel")
