"""What is told of an exported file beside its model."""

from __future__ import annotations

import numpy as np
import pytest

from toprung.search.export.measure import answers
from toprung.trainables.saved_model.predictions import Predictions
from toprung.trainables.task.task import Split
from toprung.trainables.task.task_type import BINARY, MULTILABEL, SOFTMAX, TaskType

IMAGES = np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1)
OUTPUTS: dict[TaskType, np.ndarray] = {
    SOFTMAX: np.tile(np.float32([[0.7, 0.2, 0.1]]), (40, 1)),
    BINARY: np.full((40, 1), 0.3, np.float32),
    MULTILABEL: np.tile(np.float32([[0.1, 0.2]]), (40, 1)),
}


@pytest.mark.parametrize("task", OUTPUTS)
def test_an_answer_that_is_no_number_agrees_with_nothing(task: TaskType) -> None:
    outputs = OUTPUTS[task]
    original = Predictions.of(outputs, task)
    split = Split(IMAGES, original.labels)

    def run(images: np.ndarray) -> np.ndarray:
        made = outputs[images.ravel()].copy()
        made[images.ravel() >= 30] = np.nan
        return made

    same = answers(lambda images: outputs[images.ravel()], split, task, original)
    assert (same.accuracy, same.agreement, same.largest_difference) == (1.0, 1.0, 0.0)
    broken = answers(run, split, task, original)
    assert (broken.accuracy, broken.agreement, broken.largest_difference) == (0.75, 0.75, 1.0)
