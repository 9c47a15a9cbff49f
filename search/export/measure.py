"""What an exported file answers, how large it is, and how fast."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toprung.trainables.metrics.per_class import image_scores
from toprung.trainables.saved_model.predictions import Predictions

if TYPE_CHECKING:
    from toprung.search.export.target import Run
    from toprung.trainables.task.task import Split
    from toprung.trainables.task.task_type import TaskType

BATCH = 32
LEAST_CALLS, LEAST_SECS = 5, 0.3


@dataclass(frozen=True)
class Answers:
    """Beside the original on the same images.

    Attributes:
        accuracy: The share of images whose whole label is right.
        agreement: The share of images that get the original's label. One whose answer is not finite does not.
        largest_difference: Of a probability; 1 where one is not finite.
    """

    accuracy: float
    agreement: float
    largest_difference: float


@dataclass(frozen=True)
class Speed:
    """Median milliseconds of a call with one image, and of an image in a batch of `BATCH`, on so many threads."""

    one_image_ms: float
    batch_image_ms: float
    threads: int


def answers(run: Run, split: Split, task: TaskType, original: Predictions) -> Answers:
    """Run a file on images, at least one, and compare it with the original's predictions of them."""
    outputs = [run(np.asarray(split.images[start : start + BATCH])) for start in range(0, len(split), BATCH)]
    said = Predictions.of(np.concatenate(outputs), task)
    is_answer = np.isfinite(said.probabilities).all(axis=1)
    same = is_answer & (image_scores(original.labels, said.labels) == 1.0)
    right = is_answer & (image_scores(np.asarray(split.labels), said.labels) == 1.0)
    differences = np.abs(said.probabilities[is_answer] - original.probabilities[is_answer])
    largest = differences.max() if is_answer.all() else 1.0
    return Answers(float(right.mean()), float(same.mean()), float(largest))


def speed(run: Run, images: np.ndarray, threads: int) -> Speed:
    """Time calls of one image and of a batch; `images` are any of the right shape, at least one."""
    batch = np.resize(images, (BATCH, *images.shape[1:]))
    return Speed(_median_ms(run, batch[:1]), _median_ms(run, batch) / BATCH, threads)


def size_bytes(path: Path) -> int:
    """The size of a file, of an OpenVINO pair, or of a folder with all that it holds."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    weights = path.with_suffix(".bin")
    return path.stat().st_size + (weights.stat().st_size if weights.exists() else 0)


def _median_ms(run: Run, images: np.ndarray) -> float:
    run(images)  # compiles
    took: list[float] = []
    while len(took) < LEAST_CALLS or sum(took) < LEAST_SECS:
        began = time.perf_counter()
        run(images)
        took.append(time.perf_counter() - began)
    return 1e3 * float(np.median(took))
