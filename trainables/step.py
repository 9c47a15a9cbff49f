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
from trainables.optimize import Hyper, Moments, averaged, update
from trainables.outputs import Outputs, ends_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


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

    input_dtype = "uint8"

    def __init__(
        self,
        model: keras.Model,
        outputs: Outputs,
        augments_fully: bool = False,
        depths: Mapping[int, float] | None = None,
    ) -> None:
        self.model, self.outputs = model, outputs
        self._depths = depths
        self.augment = Augment(augments_fully, name="augment")
        self.augment.build(model.input_shape)
        self.weights: list[keras.Variable] = model.trainable_variables
        self.others: list[keras.Variable] = [
            *self.augment.non_trainable_variables,
            *model.non_trainable_variables,
        ]
        self.sizes = [int(np.prod(variable.shape)) for variable in self.weights]
        self.has_constraints = any(variable.constraint is not None for variable in self.weights)
        self.is_probability = ends_in(model, outputs.final)

    def decayed(self) -> np.ndarray:
        """1 for every weight in a kernel (two axes or more), 0 in biases and norms; float32 (weights,)."""
        flags = [np.full(size, len(v.shape) > 1) for v, size in zip(self.weights, self.sizes, strict=True)]
        return np.concatenate(flags).astype(np.float32)

    def depths(self) -> np.ndarray | None:
        """How deep in the model each weight lies, float32 (weights,) from 0 at the output; None if no matter."""
        if not self._depths:
            return None
        each = [self._depths.get(id(variable), 0.0) for variable in self.weights]
        return np.repeat(np.asarray(each, np.float32), self.sizes)

    def state_signature(self) -> State:
        """The shapes and dtypes of a state of this network."""
        flat = keras.KerasTensor((sum(self.sizes),), "float32")
        others = tuple(
            keras.KerasTensor(v.shape, keras.backend.standardize_dtype(v.dtype)) for v in self.others
        )
        moments = Moments(flat, flat, flat, keras.KerasTensor((None,), "float32"))
        return State(keras.KerasTensor((), "int32"), moments, others)

    def unflatten(self, flat: Any, head_only: bool = False) -> list[Any]:
        """The tensors of `weights` cut out of a flat vector; with `head_only` no gradient leads past the head."""
        parts = ops.split(flat, np.cumsum(self.sizes)[:-1].tolist())
        if head_only and self._depths:
            inside = [self._depths.get(id(variable), 0.0) > 0 for variable in self.weights]
            parts = [
                ops.stop_gradient(part) if deep else part for part, deep in zip(parts, inside, strict=True)
            ]
        pairs = zip(parts, self.weights, strict=True)
        return [ops.cast(ops.reshape(part, variable.shape), variable.dtype) for part, variable in pairs]

    def constrain(self, flat: Any) -> Any:
        """The weights after each variable's own constraint, such as max-norm."""
        if not self.has_constraints:
            return flat
        pairs = zip(self.unflatten(flat), self.weights, strict=True)
        held = [variable.constraint(value) if variable.constraint else value for value, variable in pairs]
        return ops.concatenate([ops.reshape(ops.cast(value, "float32"), (-1,)) for value in held])

    def vary(
        self, others: Sequence[Any], images: Any, targets: Any, hyper: Hyper
    ) -> tuple[Any, Any, tuple[Any, ...]]:
        """Augmented images and their targets, and `others` with the augmentation's seed moved on."""
        cut = len(self.augment.non_trainable_variables)
        (varied, targets), changed = self.augment.stateless_call(
            [], list(others[:cut]), images, targets, hyper.switches, hyper.picks, training=True
        )
        return varied, targets, (*changed, *others[cut:])

    def forward(
        self, flat: Any, others: Sequence[Any], images: Any, head_only: bool = False
    ) -> tuple[Any, Any, tuple[Any, ...]]:
        """Training mode: logits of images, the sum of the layers' own losses, the new `others`."""
        cut = len(self.augment.non_trainable_variables)
        outputs, changed, losses = self.model.stateless_call(
            self.unflatten(flat, head_only), list(others[cut:]), images, training=True, return_losses=True
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
        return self.outputs.logits(ops.cast(outputs, "float32"), self.is_probability)


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
        self._decayed, self._depths = network.decayed(), network.depths()
        state, images = (
            network.state_signature(),
            keras.KerasTensor(network.model.input_shape, network.input_dtype),
        )
        labels = keras.KerasTensor((None, *network.outputs.label_shape), "int32")
        order = keras.KerasTensor((None, None), "int32")
        totals, steps = Totals(*[keras.KerasTensor((), "float32")] * 2), keras.KerasTensor((), "int32")
        hyper, share = Hyper.signature(network.outputs.classes), keras.KerasTensor((), "float32")
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
        hyper: Hyper,
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
            batch = ops.cast(ops.take(images, order[row], axis=0), "float32")
            answers = ops.take(labels, order[row], axis=0)
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
        hyper: Hyper,
        images: Any,
        labels: Any,
        is_open: Any,
        head_only: bool,
    ) -> tuple[State, Totals]:
        answer = self.network.outputs
        images, targets, others = self.network.vary(state.others, images, answer.targets(labels), hyper)

        def loss_of(weights: Any) -> tuple[Any, Any]:
            logits, own, changed = self.network.forward(weights, others, images, head_only)
            loss = ops.mean(answer.losses(logits, targets, hyper))
            return loss + own, (loss, ops.mean(answer.right(logits, labels)), changed)

        (loss, right, others), gradient = self.engine.value_and_grad(loss_of, state.moments.weights)
        if is_open is not None:
            gradient = ops.where(is_open, gradient, 0.0)
        moments = update(state.step, gradient, state.moments, self._decayed, hyper)
        if is_open is not None:
            moments = moments._replace(weights=ops.where(is_open, moments.weights, state.moments.weights))
        moments = moments._replace(weights=self.network.constrain(moments.weights))
        moments = averaged(state.step, moments, hyper)
        totals = Totals(totals.loss + loss, totals.accuracy + right)
        return State(state.step + 1, moments, tuple(others)), totals
