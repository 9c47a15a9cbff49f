"""What a model's outputs mean: how they become logits, what is wrong with them, and how the exported model ends.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from keras import ops

from toprung.trainables.metrics.classification import ClassificationEvaluation
from toprung.trainables.metrics.multilabel import MultilabelEvaluation
from toprung.trainables.optimization.losses import (
    class_weights,
    cross_entropy,
    label_entropy,
    positive_weights,
)
from toprung.trainables.task.task_type import BINARY, MULTILABEL, class_counts

if TYPE_CHECKING:
    from toprung.trainables.metrics.classification import Evaluation
    from toprung.trainables.optimization.optimizers import RuntimeHyperparameters
    from toprung.trainables.task.task import Task

TINY = 1e-7


class Head(Protocol):
    """One way to answer; `classes` is how many there are, `final` the activation that makes probabilities."""

    classes: int
    final: str

    @property
    def label_shape(self) -> tuple[int, ...]:
        """The shape of one image's label."""

    def logits(self, outputs: Any, is_probability: bool) -> Any:
        """Logits, (batch, classes), of a model's float32 outputs."""

    def targets(self, labels: Any) -> Any:
        """Float32 (batch, classes) from int32 labels, for augmentations that mix images to mix too."""

    def losses(self, logits: Any, targets: Any, hyper: RuntimeHyperparameters) -> Any:
        """The loss of each image, float32 (batch,), classes weighed."""

    def right(self, logits: Any, labels: Any) -> Any:
        """1 for each image that is answered right in every part, float32 (batch,)."""

    def weights(self, labels: Any, power: float) -> np.ndarray:
        """`RuntimeHyperparameters.class_weights` for these training labels and the recipe's `class_balance`."""

    def scored(self, logits: np.ndarray, labels: np.ndarray) -> Evaluation:
        """What the logits of a split score."""


class SoftmaxHead:
    """One class an image, one output a class, softmax."""

    final = "softmax"

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.label_shape: tuple[int, ...] = ()

    def logits(self, outputs: Any, is_probability: bool) -> Any:
        return ops.log(ops.clip(outputs, TINY, 1.0)) if is_probability else outputs

    def targets(self, labels: Any) -> Any:
        return ops.one_hot(labels, self.classes, dtype="float32")

    def losses(self, logits: Any, targets: Any, hyper: RuntimeHyperparameters) -> Any:
        weights_of_images = ops.matmul(targets, hyper.class_weights[:, None])[:, 0]
        return weights_of_images * cross_entropy(logits, targets, hyper.label_smoothing)

    def right(self, logits: Any, labels: Any) -> Any:
        return ops.cast(ops.cast(ops.argmax(logits, axis=-1), "int32") == labels, "float32")

    def weights(self, labels: Any, power: float) -> np.ndarray:
        return class_weights(class_counts(labels, self.classes), power)

    def scored(self, logits: np.ndarray, labels: np.ndarray) -> Evaluation:
        return ClassificationEvaluation.from_logits(logits, labels)


class BinaryHead(SoftmaxHead):
    """One class of two by one output, sigmoid: the probability of the second.

    It is the softmax of (0, output), so that loss, smoothing, class weights and scores are those of two classes.
    """

    final = "sigmoid"

    def logits(self, outputs: Any, is_probability: bool) -> Any:
        second = _logit(outputs) if is_probability else outputs
        return ops.concatenate([ops.zeros_like(second), second], axis=-1)


class MultilabelHead:
    """Any number of classes an image, one sigmoid each; the loss is the mean over the classes."""

    final = "sigmoid"

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.label_shape: tuple[int, ...] = (classes,)

    def logits(self, outputs: Any, is_probability: bool) -> Any:
        return _logit(outputs) if is_probability else outputs

    def targets(self, labels: Any) -> Any:
        return ops.cast(labels, "float32")

    def losses(self, logits: Any, targets: Any, hyper: RuntimeHyperparameters) -> Any:
        return label_entropy(logits, targets, hyper.label_smoothing, hyper.class_weights)

    def right(self, logits: Any, labels: Any) -> Any:
        return ops.cast(ops.all(ops.cast(logits > 0.0, "int32") == labels, axis=-1), "float32")

    def weights(self, labels: Any, power: float) -> np.ndarray:
        return positive_weights(class_counts(labels, self.classes), len(labels), power)

    def scored(self, logits: np.ndarray, labels: np.ndarray) -> Evaluation:
        return MultilabelEvaluation.from_logits(logits, labels)


def head_for(task: Task) -> Head:
    """How the models of a task answer."""
    kinds: dict[str, type[SoftmaxHead | MultilabelHead]] = {BINARY: BinaryHead, MULTILABEL: MultilabelHead}
    return kinds.get(task.task_type, SoftmaxHead)(len(task.classes))


def _logit(probabilities: Any) -> Any:
    inside = ops.clip(probabilities, TINY, 1.0 - TINY)
    return ops.log(inside) - ops.log(1.0 - inside)
