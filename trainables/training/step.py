"""The training and the prediction step as pure functions of arrays, for any Keras backend.

Imports keras at the top: only processes that train load it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import keras
from keras import ops

from toprung.trainables.optimization.optimizers import RuntimeHyperparameters, averaged, update
from toprung.trainables.training.network import Network
from toprung.trainables.training.state import State

if TYPE_CHECKING:
    from toprung.trainables.backend.engine import Engine


class Totals(NamedTuple):
    """Sums of each batch's `loss` and `accuracy` since the epoch began, float32 scalars.

    They are carried from call to call, so that an epoch adds up alike whatever calls it is cut into.
    """

    loss: Any
    accuracy: Any


class Batch(NamedTuple):
    """Augmented images with their targets and labels, in the order of one axis.

    `counted` is 1 for an image, 0 for one that only fills up a part.
    """

    images: Any
    targets: Any
    labels: Any
    counted: Any


class TrainingStep:
    """Many steps in one call: gather, augment, forward, backward, update. `traces` counts traces.

    With `watches_loss` a call ends at the first loss that is not finite; on an accelerator looking at every loss
    would make the host wait for each step, so there the caller looks once a call.

    With `parts` above 1 each batch is augmented whole and then goes through the model in so many parts, one after the
    other; the update is that of the whole batch. What looks at other images of the batch sees its part alone: batch
    normalisation takes its statistics from parts, and dropout draws for each.
    """

    def __init__(self, network: Network, engine: Engine, watches_loss: bool, parts: int = 1) -> None:
        self.network = network
        self.engine = engine
        self.traces = 0
        self._parts = parts
        self._watches_loss = watches_loss
        self._decayed, self._depths = network.decayed(), network.depths()
        state, images = (
            network.state_signature,
            keras.KerasTensor(network.model.input_shape, network.input_dtype),
        )
        labels = keras.KerasTensor((None, *network.outputs.label_shape), "int32")
        order = keras.KerasTensor((None, None), "int32")
        totals, steps = Totals(*[keras.KerasTensor((), "float32")] * 2), keras.KerasTensor((), "int32")
        hyper, share = (
            RuntimeHyperparameters.signature(network.outputs.classes),
            keras.KerasTensor((), "float32"),
        )
        arguments = [state, totals, hyper, share, images, labels, order, steps]
        self.compiled_run = engine.compile(self.run, arguments)
        # Where layers can be frozen a trace of its own saves the backward pass through all that lies below the head.
        has_depths = self._depths is not None
        self.compiled_head_run = engine.compile(self.run_head, arguments) if has_depths else self.compiled_run
        self.compiled_predict = engine.compile(self.predict, [state.moments.weights, state.others, images])

    def run(self, *arguments: Any) -> tuple[State, Totals]:
        """Run the first `steps` rows of `order`, int32 (rows, batch), which index `images` and `labels`.

        Takes (state, totals, hyper, open_share, images, labels, order, steps); only weights that lie at most
        `open_share` deep are changed. Returns the new state, whose `step` tells how many steps were run, and the
        new totals.
        """
        return self._run(False, *arguments)

    def run_head(self, *arguments: Any) -> tuple[State, Totals]:
        """As `run` with an `open_share` of 0."""
        return self._run(True, *arguments)

    def _run(
        self,
        head_only: bool,
        state: State,
        totals: Totals,
        hyper: RuntimeHyperparameters,
        open_share: Any,
        images: Any,
        labels: Any,
        order: Any,
        steps: Any,
    ) -> tuple[State, Totals]:
        self.traces += 1
        is_open = None if self._depths is None else self._depths <= open_share

        def goes_on(row: Any, _state: State, totals: Totals) -> Any:
            more = row < steps
            return ops.logical_and(more, ops.isfinite(totals.loss)) if self._watches_loss else more

        def body(row: Any, state: State, totals: Totals) -> tuple[Any, State, Totals]:
            chosen = order[row]
            batch = ops.cast(ops.take(images, chosen, axis=0), "float32")
            answers = ops.take(labels, chosen, axis=0)
            return (row + 1, *self._one(state, totals, hyper, batch, answers, is_open, head_only))

        _, state, totals = ops.while_loop(goes_on, body, (ops.zeros((), "int32"), state, totals))
        return state, totals

    def predict(self, weights: Any, others: Any, images: Any) -> Any:
        """Logits, float32 (batch, classes), of images with values 0 to 255."""
        return self.network.infer(weights, others, ops.cast(images, "float32"))

    def _one(
        self,
        state: State,
        totals: Totals,
        hyper: RuntimeHyperparameters,
        images: Any,
        labels: Any,
        is_open: Any,
        head_only: bool,
    ) -> tuple[State, Totals]:
        targets = self.network.outputs.targets(labels)
        images, targets, others = self.network.vary(self.engine, state.others, images, targets, hyper)
        batch = Batch(images, targets, labels, ops.ones_like(targets[:, 0]))
        slope = self._slope if self._parts == 1 else self._slope_in_parts
        (loss, right, others), gradient = slope(state.moments.weights, others, batch, hyper, head_only)
        if is_open is not None:
            gradient = ops.where(is_open, gradient, 0.0)
        arguments = [state.step, gradient, state.moments, self._decayed, hyper]
        moments = self.engine.shared(update, arguments, like=state.moments)
        if is_open is not None:
            moments = moments._replace(weights=ops.where(is_open, moments.weights, state.moments.weights))
        moments = moments._replace(weights=self.network.constrain(moments.weights))
        moments = averaged(state.step, moments, hyper)
        totals = Totals(totals.loss + loss, totals.accuracy + right)
        return State(state.step + 1, moments, tuple(others)), totals

    def _slope(
        self,
        weights: Any,
        others: Any,
        batch: Batch,
        hyper: RuntimeHyperparameters,
        head_only: bool,
        size: Any = None,
    ) -> tuple[tuple[Any, Any, tuple[Any, ...]], Any]:
        """((loss, accuracy, new others), gradient) of images that are a share of a batch of `size`."""
        size = ops.cast(ops.shape(batch.labels)[0] if size is None else size, "float32")
        answer = self.network.outputs

        def loss_of(weights: Any) -> tuple[Any, Any]:
            logits, own, changed = self.network.forward(weights, others, batch.images, head_only)
            loss = ops.sum(batch.counted * answer.losses(logits, batch.targets, hyper)) / size
            hits = answer.right(logits, batch.labels)
            share = ops.sum(batch.counted) / size
            return loss + own * share, (loss, ops.sum(batch.counted * hits) / size, changed)

        return self.engine.value_and_grad(loss_of, weights)

    def _slope_in_parts(
        self, weights: Any, others: Any, batch: Batch, hyper: RuntimeHyperparameters, head_only: bool
    ) -> tuple[tuple[Any, Any, tuple[Any, ...]], Any]:
        """As `_slope`; a loop, so that no part's activations are held beside another's."""
        size = ops.shape(batch.labels)[0]
        places, counted = parts_of(size, self._parts)

        def body(index: Any, gradient: Any, loss: Any, right: Any, others: Any) -> tuple[Any, ...]:
            part = Batch(*(ops.take(values, places[index], axis=0) for values in batch))
            part = part._replace(counted=counted[index])
            (more, hits, others), slope = self._slope(weights, others, part, hyper, head_only, size)
            return index + 1, gradient + slope, loss + more, right + hits, tuple(others)

        zero = ops.zeros(())
        start = (ops.zeros((), "int32"), ops.zeros_like(weights), zero, zero, tuple(others))
        _, gradient, loss, right, others = ops.while_loop(lambda index, *_: index < self._parts, body, start)
        return (loss, right, tuple(others)), gradient


def parts_of(size: Any, parts: int) -> tuple[Any, Any]:
    """Positions in a batch, int32 (parts, images a part), and 1.0 where they count: the last part is filled up."""
    each = (size + parts - 1) // parts
    numbers = ops.arange(parts * each, dtype="int32")
    counted = ops.cast(numbers < size, "float32")
    return ops.reshape(numbers % size, (parts, each)), ops.reshape(counted, (parts, each))
