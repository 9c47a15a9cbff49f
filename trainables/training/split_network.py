"""A network split where its frozen part ends: the features below, and a head with a training step of its own.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np

from toprung.trainables.backend.operations import ops
from toprung.trainables.training.batches import mirrored
from toprung.trainables.training.network import Network
from toprung.trainables.training.state import State
from toprung.trainables.training.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.trainables.backend.engine import Engine
    from toprung.trainables.backend.tensors import Tensor
    from toprung.trainables.models.phases import FrozenBoundary
    from toprung.trainables.optimization.hyperparameters import RuntimeHyperparameters
    from toprung.trainables.task.task import Split

BATCH_IMAGES = 64  # of a call where batches stay whole


class HeadNetwork(Network):
    """The layers above the frozen part, as a network from features; it augments nothing."""

    input_dtype = "float32"

    def vary(
        self,
        engine: Engine,
        non_trainable: Sequence[Tensor],
        images: Tensor,
        targets: Tensor,
        hyperparameters: RuntimeHyperparameters,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Features, targets and values as they are."""
        del engine, hyperparameters
        return images, targets, tuple(non_trainable)


class SplitNetwork:
    """The head of a network with its own training step, and the conversion between its state and the whole network's.

    Args:
        network: The whole network.
        boundary: Where its frozen part ends.
        engine: Compiles the head's step and the frozen part.
        watches_loss, micro_batches: As for `TrainingStep`. The frozen part gets as many fewer images in a call.
    """

    def __init__(
        self,
        network: Network,
        boundary: FrozenBoundary,
        engine: Engine,
        watches_loss: bool,
        micro_batches: int = 1,
    ) -> None:
        model = network.model
        self.key, self.width = boundary.key, int(boundary.end.shape[-1])
        self.head_network = HeadNetwork(keras.Model(boundary.end, model.output), network.head)
        self.step = TrainingStep(self.head_network, engine, watches_loss, micro_batches)
        self.has_computed = False
        self.images_per_call = max(1, BATCH_IMAGES // micro_batches)
        self._body = Network(keras.Model(model.input, boundary.end), network.head)
        self._head_positions = _positions(network.weights, network.sizes, self.head_network.weights)
        self._body_positions = _positions(network.weights, network.sizes, self._body.weights)
        numbers = {id(variable): index for index, variable in enumerate(network.non_trainable)}
        # The head network's own augmentation is unused: its variables, numbered None, keep their first values.
        self._head_numbers = [numbers.get(id(variable)) for variable in self.head_network.non_trainable]
        self._first_values = [ops.convert_to_tensor(variable) for variable in self.head_network.non_trainable]
        self._body_numbers = [numbers[id(variable)] for variable in self._body.model.non_trainable_variables]
        images, state = keras.KerasTensor(model.input_shape, "uint8"), network.state_signature
        signature = [state.optimizer.weights, state.non_trainable, images]
        self._compiled_features = engine.compile(self._features, signature)

    def features(self, state: State, split: Split, mirror: bool = False) -> np.ndarray:
        """The output of the frozen part for each image, or its mirror image, in inference mode: float32 (N, width)."""
        count, size = len(split.labels), self.images_per_call
        found = np.empty((count, self.width), np.float32)
        for start in range(0, count, size):
            # Every batch has one size, filled up with the last image, so that nothing is compiled twice.
            images = split.images[np.minimum(np.arange(start, start + size), count - 1)]
            images = mirrored(images) if mirror else images
            features = self._compiled_features(state.optimizer.weights, state.non_trainable, images)
            found[start : start + size] = ops.convert_to_numpy(features)[: count - start]
        self.has_computed = True
        return found

    def head_state(self, state: State) -> State:
        """The head's part of the whole network's state."""
        optimizer = state.optimizer._replace(
            **{name: self._head_values(value) for name, value in state.optimizer._asdict().items()}
        )
        return State(state.step, optimizer, self._head_non_trainable(state.non_trainable))

    def merged_state(self, state: State, head: State) -> State:
        """The whole network's state with the head's part replaced."""
        pairs = zip(state.optimizer._asdict().items(), head.optimizer, strict=True)
        optimizer = state.optimizer._replace(
            **{name: self._merged_values(whole, new) for (name, whole), new in pairs}
        )
        non_trainable = list(state.non_trainable)
        for number, value in zip(self._head_numbers, head.non_trainable, strict=True):
            if number is not None:
                non_trainable[number] = value
        return State(head.step, optimizer, tuple(non_trainable))

    def head_variables(
        self, weights: Tensor, non_trainable: Sequence[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The head's weights and non-trainable values among those of the whole network."""
        return self._head_values(weights), self._head_non_trainable(non_trainable)

    def _head_non_trainable(self, non_trainable: Sequence[Tensor]) -> tuple[Tensor, ...]:
        numbered = zip(self._first_values, self._head_numbers, strict=True)
        return tuple(first if number is None else non_trainable[number] for first, number in numbered)

    def _head_values(self, flat: Tensor) -> Tensor:
        return flat if tuple(flat.shape) == (0,) else ops.take(flat, self._head_positions)

    def _merged_values(self, flat: Tensor, head: Tensor) -> Tensor:
        return (
            flat
            if tuple(flat.shape) == (0,)
            else ops.scatter_update(flat, self._head_positions[:, None], head)
        )

    def _features(self, weights: Tensor, non_trainable: Sequence[Tensor], images: Tensor) -> Tensor:
        body_weights = self._body.unflatten(ops.take(weights, self._body_positions))
        values = [non_trainable[number] for number in self._body_numbers]
        images = ops.cast(images, "float32")
        features, _ = self._body.model.stateless_call(body_weights, values, images, training=False)
        return ops.cast(features, "float32")


def _positions(
    variables: Sequence[keras.Variable], sizes: Sequence[int], wanted: Sequence[keras.Variable]
) -> np.ndarray:
    """The positions of the values of `wanted` in the flat vector of `variables`, int32."""
    starts = dict(zip(map(id, variables), np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
    size = dict(zip(map(id, variables), sizes, strict=True))
    spans = [np.arange(starts[id(v)], starts[id(v)] + size[id(v)]) for v in wanted]
    return np.concatenate([*spans, np.zeros(0, np.int64)]).astype(np.int32)
