"""The training and the prediction step as pure functions of tensors, for any Keras backend.

Imports keras at the top: only processes that train load it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import keras

from toprung.trainables.backend.operations import ops
from toprung.trainables.optimization.hyperparameters import RuntimeHyperparameters
from toprung.trainables.optimization.optimizers import update, update_average
from toprung.trainables.training.state import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from toprung.trainables.backend.engine import Engine
    from toprung.trainables.backend.tensors import Scalar, Tensor
    from toprung.trainables.training.network import Network


class Totals(NamedTuple):
    """Sums of each batch's `loss` and `accuracy` since the epoch began, float32 scalars.

    They are passed from call to call, so that an epoch adds up alike whatever calls it is cut into.
    """

    loss: Tensor
    accuracy: Tensor


class StepInputs(NamedTuple):
    """What one call of a training step reads.

    hyperparameters: those of the epoch.
    open_share: float32 scalar, the depth up to which weights train.
    depth_decay: float32 scalar, the factor of the learning rate at depth 1, see `Phase`.
    images, labels: what `order` indexes: uint8 (N, H, W, C) or features float32 (N, features), and int32 labels.
    order: int32 (rows, batch); a row is a batch.
    steps: int32 scalar, how many rows to train on.
    """

    hyperparameters: RuntimeHyperparameters
    open_share: Tensor
    depth_decay: Tensor
    images: Tensor
    labels: Tensor
    order: Tensor
    steps: Tensor


class OpenWeights(NamedTuple):
    """Which weights train, bool (weights,), and each one's share of the learning rate, float32 (weights,)."""

    is_open: Tensor
    rate_share: Tensor

    @classmethod
    def of(cls, depths: np.ndarray, inputs: StepInputs) -> OpenWeights:
        """The weights at depths up to `inputs.open_share`."""
        return cls(depths <= inputs.open_share, ops.power(inputs.depth_decay, depths))

    def moved(self, before: Tensor, after: Tensor) -> Tensor:
        """The weights after a step: every update rule is the learning rate times a direction."""
        return ops.where(self.is_open, before + self.rate_share * (after - before), before)


class Batch(NamedTuple):
    """Augmented images with their targets and labels, along one axis.

    `counted` is 1 for an image, 0 for one that only fills up a micro-batch.
    """

    images: Tensor
    targets: Tensor
    labels: Tensor
    counted: Tensor


class BatchResult(NamedTuple):
    """The loss and the accuracy of a batch, float32 scalars, and the non-trainable values after it."""

    loss: Tensor
    accuracy: Tensor
    non_trainable: tuple[Tensor, ...]


class TrainingStep:
    """Many steps in one call: gather, augment, forward, backward, update. `traces` counts traces.

    Args:
        network: The network to train.
        engine: Compiles the step.
        watches_loss: End a call at the first loss that is not finite. On an accelerator the host would have to wait for
            each step, so there the caller looks at the loss after each call.
        micro_batches: Above 1 each batch is augmented as a whole and then goes through the model in so many pieces, one
            after the other; the update is that of the whole batch. Layers that look at other images of the batch see
            their micro-batch alone: batch norms take their statistics from it, and dropout draws for each.
    """

    def __init__(self, network: Network, engine: Engine, watches_loss: bool, micro_batches: int = 1) -> None:
        self.network, self.engine = network, engine
        self.watches_loss, self.micro_batches = watches_loss, micro_batches
        self.traces = 0
        self._decays, self._depths = network.decays(), network.depths()
        state, images = (
            network.state_signature,
            keras.KerasTensor(network.model.input_shape, network.input_dtype),
        )
        scalar = keras.KerasTensor((), "float32")
        inputs = StepInputs(
            RuntimeHyperparameters.signature(network.head.classes),
            open_share=scalar,
            depth_decay=scalar,
            images=images,
            labels=keras.KerasTensor((None, *network.head.label_shape), "int32"),
            order=keras.KerasTensor((None, None), "int32"),
            steps=keras.KerasTensor((), "int32"),
        )
        signature = [state, Totals(scalar, scalar), inputs]
        self.compiled_run = engine.compile(self.run, signature)
        # Where layers can be frozen, a trace of its own saves the backward pass through all that lies below the head.
        has_depths = self._depths is not None
        self.compiled_head_run = engine.compile(self.run_head, signature) if has_depths else self.compiled_run
        variables = [state.optimizer.weights, state.non_trainable]
        self.compiled_predict = engine.compile(self.predict, [*variables, images])

    def run(self, state: State, totals: Totals, inputs: StepInputs) -> tuple[State, Totals]:
        """Train on the first `inputs.steps` batches; weights deeper than `inputs.open_share` stay unchanged.

        Returns:
            The new state, whose `step` shows how many steps were made, and the new totals.
        """
        return self._run(state, totals, inputs, head_only=False)

    def run_head(self, state: State, totals: Totals, inputs: StepInputs) -> tuple[State, Totals]:
        """As `run` with an `open_share` of 0."""
        return self._run(state, totals, inputs, head_only=True)

    def predict(self, weights: Tensor, non_trainable: Sequence[Tensor], images: Tensor) -> Tensor:
        """Logits, float32 (batch, classes), of images with values 0 to 255."""
        return self.network.infer(weights, non_trainable, ops.cast(images, "float32"))

    def predict_array(
        self, weights: Tensor, non_trainable: Sequence[Tensor], images: np.ndarray
    ) -> np.ndarray:
        """`predict`, compiled, as an array on the host."""
        return ops.convert_to_numpy(self.compiled_predict(weights, non_trainable, images))

    def _run(self, state: State, totals: Totals, inputs: StepInputs, head_only: bool) -> tuple[State, Totals]:
        self.traces += 1
        opened = None if self._depths is None else OpenWeights.of(self._depths, inputs)

        def continues(row: Tensor, _: State, totals: Totals) -> Tensor:
            more = row < inputs.steps
            return ops.logical_and(more, ops.isfinite(totals.loss)) if self.watches_loss else more

        def body(row: Tensor, state: State, totals: Totals) -> tuple[Tensor, State, Totals]:
            indexes = inputs.order[row]
            images = ops.cast(ops.take(inputs.images, indexes, axis=0), "float32")
            labels = ops.take(inputs.labels, indexes, axis=0)
            hyperparameters = inputs.hyperparameters
            batch, non_trainable = self._augmented(state, images, labels, hyperparameters)
            state = state._replace(non_trainable=non_trainable)
            result, gradient = self._batch_gradient(state, batch, hyperparameters, head_only)
            totals = Totals(totals.loss + result.loss, totals.accuracy + result.accuracy)
            return row + 1, self._updated(state, result, gradient, hyperparameters, opened), totals

        start = (ops.zeros((), "int32"), state, totals)
        _, state, totals = ops.while_loop(continues, body, start)
        return state, totals

    def _augmented(
        self, state: State, images: Tensor, labels: Tensor, hyperparameters: RuntimeHyperparameters
    ) -> tuple[Batch, tuple[Tensor, ...]]:
        targets = self.network.head.targets(labels)
        images, targets, non_trainable = self.network.vary(
            self.engine, state.non_trainable, images, targets, hyperparameters
        )
        return Batch(images, targets, labels, ops.ones_like(targets[:, 0])), non_trainable

    def _updated(
        self,
        state: State,
        result: BatchResult,
        gradient: Tensor,
        hyperparameters: RuntimeHyperparameters,
        opened: OpenWeights | None,
    ) -> State:
        """The state after a step with this gradient."""
        if opened is not None:
            gradient = ops.where(opened.is_open, gradient, 0.0)
        arguments = [state.step, gradient, state.optimizer, self._decays, hyperparameters]
        optimizer = self.engine.call_shared(update, arguments, like=state.optimizer)
        if opened is not None:
            weights = opened.moved(state.optimizer.weights, optimizer.weights)
            optimizer = optimizer._replace(weights=weights)
        optimizer = optimizer._replace(weights=self.network.constrain(optimizer.weights))
        optimizer = update_average(state.step, optimizer, hyperparameters)
        return State(state.step + 1, optimizer, tuple(result.non_trainable))

    def _batch_gradient(
        self, state: State, batch: Batch, hyperparameters: RuntimeHyperparameters, head_only: bool
    ) -> tuple[BatchResult, Tensor]:
        """The result and the gradient of a batch, in a loop over its micro-batches.

        A loop, so that the activations of one micro-batch are gone before those of the next are there.
        """
        size = ops.shape(batch.labels)[0]
        if self.micro_batches == 1:
            return self._gradient(state, batch, hyperparameters, head_only, size)
        positions, counted = micro_batch_positions(size, self.micro_batches)

        def body(
            index: Tensor, gradient: Tensor, loss: Tensor, accuracy: Tensor, non_trainable: tuple[Tensor, ...]
        ) -> tuple[Tensor, Tensor, Tensor, Tensor, tuple[Tensor, ...]]:
            micro_batch = Batch(*(ops.take(values, positions[index], axis=0) for values in batch))
            micro_batch = micro_batch._replace(counted=counted[index])
            before = state._replace(non_trainable=non_trainable)
            result, more = self._gradient(before, micro_batch, hyperparameters, head_only, size)
            changed = tuple(result.non_trainable)
            return index + 1, gradient + more, loss + result.loss, accuracy + result.accuracy, changed

        zero = ops.zeros(())
        empty = ops.zeros_like(state.optimizer.weights)
        start = (ops.zeros((), "int32"), empty, zero, zero, tuple(state.non_trainable))
        _, gradient, loss, accuracy, non_trainable = ops.while_loop(
            lambda index, *_: index < self.micro_batches, body, start
        )
        return BatchResult(loss, accuracy, tuple(non_trainable)), gradient

    def _gradient(
        self,
        state: State,
        batch: Batch,
        hyperparameters: RuntimeHyperparameters,
        head_only: bool,
        size: Scalar,
    ) -> tuple[BatchResult, Tensor]:
        """The result and the gradient of images that are a part of a batch of `size` images."""
        count, head = ops.cast(size, "float32"), self.network.head

        def loss_of(weights: Tensor) -> tuple[Tensor, BatchResult]:
            logits, layer_loss, changed = self.network.forward(
                weights, state.non_trainable, batch.images, head_only
            )
            losses = head.losses(logits, batch.targets, hyperparameters)
            loss = ops.sum(batch.counted * losses) / count
            accuracy = ops.sum(batch.counted * head.correct(logits, batch.labels)) / count
            share = ops.sum(batch.counted) / count
            return loss + layer_loss * share, BatchResult(loss, accuracy, changed)

        return self.engine.value_and_grad(loss_of, state.optimizer.weights)


def micro_batch_positions(size: Scalar, count: int) -> tuple[Tensor, Tensor]:
    """Cut a batch of `size` images into `count` micro-batches of one size.

    Returns:
        Positions in the batch, int32 (count, images), and 1.0 where they count: the last ones only fill up.
    """
    each = (size + count - 1) // count
    numbers = ops.arange(count * each, dtype="int32")
    counted = ops.cast(numbers < size, "float32")
    return ops.reshape(numbers % size, (count, each)), ops.reshape(counted, (count, each))
