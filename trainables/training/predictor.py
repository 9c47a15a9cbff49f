"""Logits of images by the weights that a trial is scored and exported by.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toprung.trainables.training.batches import mirrored, predict_in_batches, prediction_batches

if TYPE_CHECKING:
    from collections.abc import Callable

    from toprung.trainables.backend.tensors import Tensor
    from toprung.trainables.task.task import Split
    from toprung.trainables.training.compiled_model import CompiledModel
    from toprung.trainables.training.state import State


@dataclass(frozen=True)
class Predictor:
    """Predicts with a compiled model.

    pieces: how many times smaller than usual batches are, for want of memory.
    averaged: whether the average of the weights predicts, and not the weights.
    flip_average: whether an answer is the mean over an image and its mirror image.
    """

    compiled: CompiledModel
    pieces: int = 1
    averaged: bool = False
    flip_average: bool = False

    @property
    def mirror_switches(self) -> tuple[bool, ...]:
        """Whether images are mirrored in each of the views whose logits are averaged."""
        return (False, True) if self.flip_average else (False,)

    def weights(self, state: State) -> Tensor:
        """The weights that predict."""
        return state.optimizer.average if self.averaged else state.optimizer.weights

    def logits(self, state: State, images: np.ndarray) -> np.ndarray:
        """Logits (batch, outputs) of images (batch, H, W, C)."""
        values = self.weights(state), state.non_trainable
        views = [mirrored(images) if mirror else images for mirror in self.mirror_switches]
        return _mean([self.compiled.step.predict_array(*values, view) for view in views])

    def logits_of_split(self, state: State, split: Split) -> np.ndarray:
        """Logits (N, outputs) of all images of a split."""
        return self._in_batches(lambda images: self.logits(state, images), split.images)

    def logits_of_features(self, state: State, split: Split) -> np.ndarray:
        """The same from the kept features of a split, while the frozen part has the weights it started with."""
        head_only = self.compiled.head_only
        head = head_only.split_network
        values = head.head_variables(self.weights(state), state.non_trainable)
        views = [head_only.features(state, split, mirror)[0].images for mirror in self.mirror_switches]
        return _mean(
            [self._in_batches(lambda rows: head.step.predict_array(*values, rows), view) for view in views]
        )

    def try_out(self, state: State, split: Split) -> None:
        """Predict the first batch of a split."""
        first = next(prediction_batches(split.images, self.compiled.device.accelerated, self.pieces))
        self.logits(state, split.images[first])

    def _in_batches(self, predict: Callable[[np.ndarray], np.ndarray], inputs: np.ndarray) -> np.ndarray:
        return predict_in_batches(predict, inputs, self.compiled.device.accelerated, self.pieces)


def _mean(views: list[np.ndarray]) -> np.ndarray:
    mean: np.ndarray = np.mean(views, axis=0)
    return mean
