"""The training and the prediction step as pure functions of arrays, for any Keras backend.

Nothing here changes a variable: the state goes in and comes out. That makes a reset an assignment, a
checkpoint a copy, and the same code run under TensorFlow and JAX. Imports keras at the top: only processes
that train load it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import keras
import numpy as np
from keras import ops

from trainables.augment import Augment
from trainables.optimize import Hyper, Moments, cross_entropy, update

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class State(NamedTuple):
    """Everything that training changes.

    `step` int32 counts steps since the reset; `moments` are the weights and optimizer memories; `others`
    holds the non-trainable variables (batch-norm statistics, seeds, dials) in the order of `Network.others`.
    """

    step: Any
    moments: Moments
    others: tuple[Any, ...]


class Totals(NamedTuple):
    """Sums of each batch's `loss` and `accuracy` since the epoch began, float32 scalars.

    They are carried from call to call, so that an epoch adds up alike whatever calls it is cut into.
    """

    loss: Any
    accuracy: Any


class Engine(Protocol):
    """What differs between backends: gradients, and compiling a function of arrays."""

    def value_and_grad(self, function: Callable[[Any], tuple[Any, Any]], weights: Any) -> tuple[Any, Any]:
        """Of `function(weights) -> (loss, extra)`: extra, and the gradient of the loss."""
        ...

    def compile(self, function: Callable[..., Any], signature: Sequence[Any]) -> Callable[..., Any]:
        """`function` compiled for arguments like `signature`: trees of KerasTensor, None for a free axis."""
        ...


class Network:
    """A model behind its augmentation, as functions of a flat weight vector and the other variables."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self.augment = Augment(name="augment")
        self.augment.build(model.input_shape)
        self.weights: list[keras.Variable] = model.trainable_variables
        self.others: list[keras.Variable] = [
            *self.augment.non_trainable_variables,
            *model.non_trainable_variables,
        ]
        self.sizes = [int(np.prod(variable.shape)) for variable in self.weights]
        self.has_constraints = any(variable.constraint is not None for variable in self.weights)
        self.is_probability = ends_in_softmax(model)

    def decayed(self) -> np.ndarray:
        """1 for every weight in a kernel (two axes or more), 0 in biases and norms; float32 (weights,)."""
        flags = [np.full(size, len(v.shape) > 1) for v, size in zip(self.weights, self.sizes, strict=True)]
        return np.concatenate(flags).astype(np.float32)

    def state_signature(self) -> State:
        """The shapes and dtypes of a state of this network."""
        flat = keras.KerasTensor((sum(self.sizes),), "float32")
        others = tuple(
            keras.KerasTensor(v.shape, keras.backend.standardize_dtype(v.dtype)) for v in self.others
        )
        return State(keras.KerasTensor((), "int32"), Moments(flat, flat, flat), others)

    def unflatten(self, flat: Any) -> list[Any]:
        """The tensors of `weights` cut out of a flat vector."""
        parts = ops.split(flat, np.cumsum(self.sizes)[:-1].tolist())
        pairs = zip(parts, self.weights, strict=True)
        return [ops.cast(ops.reshape(part, variable.shape), variable.dtype) for part, variable in pairs]

    def constrain(self, flat: Any) -> Any:
        """The weights after each variable's own constraint, such as max-norm."""
        if not self.has_constraints:
            return flat
        pairs = zip(self.unflatten(flat), self.weights, strict=True)
        held = [variable.constraint(value) if variable.constraint else value for value, variable in pairs]
        return ops.concatenate([ops.reshape(ops.cast(value, "float32"), (-1,)) for value in held])

    def vary(self, others: Sequence[Any], images: Any) -> tuple[Any, tuple[Any, ...]]:
        """Augmented images, and `others` with the augmentation's seed moved on."""
        cut = len(self.augment.non_trainable_variables)
        varied, changed = self.augment.stateless_call([], list(others[:cut]), images, training=True)
        return varied, (*changed, *others[cut:])

    def forward(self, flat: Any, others: Sequence[Any], images: Any) -> tuple[Any, Any, tuple[Any, ...]]:
        """Training mode: logits of images, the sum of the layers' own losses, the new `others`."""
        cut = len(self.augment.non_trainable_variables)
        outputs, changed, losses = self.model.stateless_call(
            self.unflatten(flat), list(others[cut:]), images, training=True, return_losses=True
        )
        own = sum((ops.cast(loss, "float32") for loss in losses), start=ops.zeros(()))
        return self._logits(outputs), own, (*others[:cut], *changed)

    def infer(self, flat: Any, others: Sequence[Any], images: Any) -> Any:
        """Inference mode: logits, float32 (batch, classes)."""
        cut = len(self.augment.non_trainable_variables)
        outputs, _ = self.model.stateless_call(
            self.unflatten(flat), list(others[cut:]), images, training=False
        )
        return self._logits(outputs)

    def _logits(self, outputs: Any) -> Any:
        outputs = ops.cast(outputs, "float32")
        return ops.log(ops.clip(outputs, 1e-7, 1.0)) if self.is_probability else outputs


class TrainingStep:
    """Many steps in one call: gather, augment, forward, backward, update. `traces` counts traces.

    With `watches_loss` a call ends at the first loss that is not finite; on an accelerator looking at every loss
    would make the host wait for each step, so there the caller looks once a call.
    """

    def __init__(self, network: Network, engine: Engine, watches_loss: bool) -> None:
        self.network = network
        self.engine = engine
        self.traces = 0
        self._watches_loss = watches_loss
        self._decayed = network.decayed()
        state, images = network.state_signature(), keras.KerasTensor(network.model.input_shape, "uint8")
        labels, order = keras.KerasTensor((None,), "int32"), keras.KerasTensor((None, None), "int32")
        totals, steps = Totals(*[keras.KerasTensor((), "float32")] * 2), keras.KerasTensor((), "int32")
        arguments = [state, totals, Hyper.signature(), images, labels, order, steps]
        self.compiled_run = engine.compile(self.run, arguments)
        self.compiled_predict = engine.compile(self.predict, [state.moments.weights, state.others, images])

    def run(
        self, state: State, totals: Totals, hyper: Hyper, images: Any, labels: Any, order: Any, steps: Any
    ) -> tuple[State, Totals]:
        """Run the first `steps` rows of `order`, int32 (rows, batch), which index `images` and `labels`.

        Returns the new state, whose `step` tells how many steps were run, and the new totals.
        """
        self.traces += 1

        def goes_on(row: Any, _state: State, totals: Totals) -> Any:
            more = row < steps
            return ops.logical_and(more, ops.isfinite(totals.loss)) if self._watches_loss else more

        def body(row: Any, state: State, totals: Totals) -> tuple[Any, State, Totals]:
            batch = ops.cast(ops.take(images, order[row], axis=0), "float32")
            return (row + 1, *self._one(state, totals, hyper, batch, ops.take(labels, order[row], axis=0)))

        _, state, totals = ops.while_loop(goes_on, body, (ops.zeros((), "int32"), state, totals))
        return state, totals

    def predict(self, weights: Any, others: Any, images: Any) -> Any:
        """Logits, float32 (batch, classes), of images with values 0 to 255."""
        return self.network.infer(weights, others, ops.cast(images, "float32"))

    def _one(
        self, state: State, totals: Totals, hyper: Hyper, images: Any, labels: Any
    ) -> tuple[State, Totals]:
        images, others = self.network.vary(state.others, images)

        def loss_of(weights: Any) -> tuple[Any, Any]:
            logits, own, changed = self.network.forward(weights, others, images)
            loss = ops.mean(cross_entropy(logits, labels, hyper.label_smoothing))
            right = ops.cast(ops.argmax(logits, axis=-1), "int32") == labels
            return loss + own, (loss, ops.mean(ops.cast(right, "float32")), changed)

        (loss, right, others), gradient = self.engine.value_and_grad(loss_of, state.moments.weights)
        moments = update(state.step, gradient, state.moments, self._decayed, hyper)
        moments = moments._replace(weights=self.network.constrain(moments.weights))
        totals = Totals(totals.loss + loss, totals.accuracy + right)
        return State(state.step + 1, moments, tuple(others)), totals


def ends_in_softmax(model: keras.Model) -> bool:
    """Whether the model's last layer already turns logits into probabilities."""
    last = model.layers[-1]
    if isinstance(last, keras.Model):
        return ends_in_softmax(last)
    softmax = keras.activations.softmax
    return isinstance(last, keras.layers.Softmax) or getattr(last, "activation", None) is softmax
