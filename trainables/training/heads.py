"""The output side of a task: from a model's outputs to logits, losses and scores, and how the exported model ends.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from toprung.trainables.backend.operations import ops
from toprung.trainables.metrics.classification import ClassificationEvaluation
from toprung.trainables.metrics.multilabel import MultilabelEvaluation
from toprung.trainables.optimization.losses import (
    binary_cross_entropy,
    class_weights,
    cross_entropy,
    positive_weights,
)
from toprung.trainables.task.task_type import BINARY, MULTILABEL, class_counts

if TYPE_CHECKING:
    from toprung.trainables.backend.tensors import Tensor
    from toprung.trainables.metrics.classification import Evaluation
    from toprung.trainables.optimization.hyperparameters import RuntimeHyperparameters
    from toprung.trainables.task.task import Task

TINY = 1e-7


class Head(Protocol):
    """What a type of task does with a model's outputs.

    classes: how many classes there are.
    final_activation: the activation that makes probabilities of a model's outputs.
    label_shape: the shape of one image's label.
    """

    classes: int
    final_activation: str
    label_shape: tuple[int, ...]

    def logits(self, outputs: Tensor, is_probability: bool) -> Tensor:
        """Logits, float32 (batch, classes), of a model's outputs, float32 (batch, outputs).

        `is_probability` says whether the model already ends in the final activation.
        """

    def targets(self, labels: Tensor) -> Tensor:
        """Float32 (batch, classes) from int32 labels, so that augmentation can mix them."""

    def losses(self, logits: Tensor, targets: Tensor, hyperparameters: RuntimeHyperparameters) -> Tensor:
        """The loss of each image, float32 (batch,), weighed by class."""

    def correct(self, logits: Tensor, labels: Tensor) -> Tensor:
        """1 for each image whose whole label is predicted, else 0; float32 (batch,)."""

    def class_weights(self, labels: np.ndarray, power: float) -> np.ndarray:
        """`RuntimeHyperparameters.class_weights` of training labels for the recipe's `class_balance`."""

    def evaluate(self, logits: np.ndarray, labels: np.ndarray) -> Evaluation:
        """The scores of a split from its logits (N, classes)."""


class SoftmaxHead:
    """One class for each image, one output for each class, softmax."""

    final_activation = "softmax"

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.label_shape: tuple[int, ...] = ()

    def logits(self, outputs: Tensor, is_probability: bool) -> Tensor:
        return ops.log(ops.clip(outputs, TINY, 1.0)) if is_probability else outputs

    def targets(self, labels: Tensor) -> Tensor:
        return ops.one_hot(labels, self.classes, dtype="float32")

    def losses(self, logits: Tensor, targets: Tensor, hyperparameters: RuntimeHyperparameters) -> Tensor:
        image_weights = ops.matmul(targets, hyperparameters.class_weights[:, None])[:, 0]
        return image_weights * cross_entropy(logits, targets, hyperparameters.label_smoothing)

    def correct(self, logits: Tensor, labels: Tensor) -> Tensor:
        return ops.cast(ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), labels), "float32")

    def class_weights(self, labels: np.ndarray, power: float) -> np.ndarray:
        return class_weights(class_counts(labels, self.classes), power)

    def evaluate(self, logits: np.ndarray, labels: np.ndarray) -> Evaluation:
        return ClassificationEvaluation.from_logits(logits, labels)


class BinaryHead(SoftmaxHead):
    """One class of two by one output, sigmoid: the probability of the second class.

    It is the softmax of (0, output), so that loss, smoothing, class weights and scores are those of two classes.
    """

    final_activation = "sigmoid"

    def logits(self, outputs: Tensor, is_probability: bool) -> Tensor:
        second = _logit(outputs) if is_probability else outputs
        return ops.concatenate([ops.zeros_like(second), second], axis=-1)


class MultilabelHead:
    """Any number of classes for each image, one sigmoid for each class; the loss is the mean over the classes."""

    final_activation = "sigmoid"

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.label_shape: tuple[int, ...] = (classes,)

    def logits(self, outputs: Tensor, is_probability: bool) -> Tensor:
        return _logit(outputs) if is_probability else outputs

    def targets(self, labels: Tensor) -> Tensor:
        return ops.cast(labels, "float32")

    def losses(self, logits: Tensor, targets: Tensor, hyperparameters: RuntimeHyperparameters) -> Tensor:
        return binary_cross_entropy(
            logits, targets, hyperparameters.label_smoothing, hyperparameters.class_weights
        )

    def correct(self, logits: Tensor, labels: Tensor) -> Tensor:
        predictions = ops.cast(logits > 0.0, "int32")
        return ops.cast(ops.all(ops.equal(predictions, labels), axis=-1), "float32")

    def class_weights(self, labels: np.ndarray, power: float) -> np.ndarray:
        return positive_weights(class_counts(labels, self.classes), len(labels), power)

    def evaluate(self, logits: np.ndarray, labels: np.ndarray) -> Evaluation:
        return MultilabelEvaluation.from_logits(logits, labels)


# One line for each type of task that is not softmax.
HEADS: dict[str, type[SoftmaxHead | MultilabelHead]] = {BINARY: BinaryHead, MULTILABEL: MultilabelHead}


def head_for(task: Task) -> Head:
    """The head of a task's models."""
    return HEADS.get(task.task_type, SoftmaxHead)(len(task.classes))


def _logit(probabilities: Tensor) -> Tensor:
    inside = ops.clip(probabilities, TINY, 1.0 - TINY)
    return ops.log(inside) - ops.log(1.0 - inside)
