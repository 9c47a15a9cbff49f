"""A model behind its augmentation as pure functions of arrays, for any Keras backend.

Nothing here changes a variable: the state goes in and comes out. That makes a reset an assignment, a
checkpoint a copy, and the same code run under TensorFlow and JAX. Imports keras at the top: only processes
that train load it.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from toprung.trainables.augment.layer import Augment
from toprung.trainables.models.export import ends_in, stock_model
from toprung.trainables.models.initialization import is_seed
from toprung.trainables.optimization.optimizers import OptimizerState, RuntimeHyperparameters
from toprung.trainables.training.heads import Head
from toprung.trainables.training.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from toprung.trainables.backend.engine import Engine


# By Keras' names what no kernel is, also where it has several axes, as attention's biases and norms over images have.
NO_KERNELS = frozenset({"bias", "beta", "gamma", "scale"})


class Network:
    """A model behind its augmentation, as functions of a flat weight vector and the other variables."""

    input_dtype = "uint8"

    def __init__(
        self,
        model: keras.Model,
        outputs: Head,
        augments_fully: bool = False,
        depths: Mapping[int, float] | None = None,
    ) -> None:
        self.model, self.outputs = model, outputs
        self._depths = depths
        self.augment, self._vary = augmentation(augments_fully, model.input_shape)
        self.weights: list[keras.Variable] = model.trainable_variables
        self.others: list[keras.Variable] = [
            *self.augment.non_trainable_variables,
            *model.non_trainable_variables,
        ]
        self.sizes = [int(np.prod(variable.shape)) for variable in self.weights]
        self.has_constraints = any(variable.constraint is not None for variable in self.weights)
        self.is_probability = ends_in(model, outputs.final)

    @property
    def layers(self) -> list[keras.Layer]:
        """Every layer, the augmentation first."""
        return [self.augment, *self.model._flatten_layers()]

    @property
    def parameter_count(self) -> int:
        """How many weights and statistics the model has; seeds and dials do not count."""
        runtime_hyperparameters = {
            id(dial)
            for layer in self.layers
            for dial in getattr(layer, "runtime_hyperparameters", {}).values()
        }
        counted = [v for v in self.model.variables if not is_seed(v) and id(v) not in runtime_hyperparameters]
        return sum(int(np.prod(variable.shape)) for variable in counted)

    def augmented(self, state: State, strength: float) -> State:
        """The state with the dial of the augmentation set, which counts from the next step on."""
        dial = self.augment.strength
        others = [
            ops.convert_to_tensor(strength, "float32") if variable is dial else value
            for variable, value in zip(self.others, state.others, strict=True)
        ]
        return state._replace(others=tuple(others))

    def decayed(self) -> np.ndarray:
        """1 for every weight in a kernel (two axes or more), 0 in biases and norms; float32 (weights,)."""
        kernels = [len(v.shape) > 1 and v.name not in NO_KERNELS for v in self.weights]
        flags = [np.full(size, kernel) for kernel, size in zip(kernels, self.sizes, strict=True)]
        return np.concatenate(flags).astype(np.float32)

    def depths(self) -> np.ndarray | None:
        """How deep in the model each weight lies, float32 (weights,) from 0 at the output; None if no matter."""
        if not self._depths:
            return None
        each = [self._depths.get(id(variable), 0.0) for variable in self.weights]
        return np.repeat(np.asarray(each, np.float32), self.sizes)

    @cached_property
    def state_signature(self) -> State:
        """The shapes and dtypes of a state of this network."""
        flat = keras.KerasTensor((sum(self.sizes),), "float32")
        others = tuple(
            keras.KerasTensor(v.shape, keras.backend.standardize_dtype(v.dtype)) for v in self.others
        )
        moments = OptimizerState(flat, flat, flat, keras.KerasTensor((None,), "float32"))
        return State(keras.KerasTensor((), "int32"), moments, others)

    def as_tensors(self, state: State) -> State:
        """The state on the device, in the dtypes of `state_signature`."""
        moments = OptimizerState(*(ops.convert_to_tensor(value, "float32") for value in state.moments))
        pairs = zip(state.others, self.state_signature.others, strict=True)
        others = tuple(ops.convert_to_tensor(value, spec.dtype) for value, spec in pairs)
        return State(ops.convert_to_tensor(state.step, "int32"), moments, others)

    def check_fits(self, moments: OptimizerState, others: Sequence[Any], averaged: bool) -> None:
        """Raise ValueError when arrays are not of the shapes of this network's state."""
        count = sum(self.sizes)
        expected = [(count,)] * 3 + [(count if averaged else 0,)]
        shapes = [tuple(variable.shape) for variable in self.others]
        if [part.shape for part in moments] != expected or [other.shape for other in others] != shapes:
            raise ValueError(
                f"The state has {moments.weights.size} weights and {len(others)} other variables, must have "
                f"{count} and {len(shapes)} of the same shapes"
            )

    def unflatten(self, flat: Any, head_only: bool = False) -> list[Any]:
        """The tensors of `weights` cut out of a flat vector; with `head_only` no gradient leads past the head."""
        parts = ops.split(flat, np.cumsum(self.sizes)[:-1].tolist())
        if head_only and self._depths:
            inside = [self._depths.get(id(variable), 0.0) > 0 for variable in self.weights]
            parts = [
                ops.stop_gradient(part) if deep else part for part, deep in zip(parts, inside, strict=True)
            ]
        return [_shaped(part, variable) for part, variable in zip(parts, self.weights, strict=True)]

    def constrain(self, flat: Any) -> Any:
        """The weights after each variable's own constraint, such as max-norm."""
        if not self.has_constraints:
            return flat
        pairs = zip(self.unflatten(flat), self.weights, strict=True)
        held = [variable.constraint(value) if variable.constraint else value for value, variable in pairs]
        return ops.concatenate([ops.reshape(ops.cast(value, "float32"), (-1,)) for value in held])

    def vary(
        self, engine: Engine, others: Sequence[Any], images: Any, targets: Any, hyper: RuntimeHyperparameters
    ) -> tuple[Any, Any, tuple[Any, ...]]:
        """Augmented images and their targets, and `others` with the augmentation's seed moved on."""
        cut = len(self.augment.non_trainable_variables)
        arguments = [list(others[:cut]), images, targets, hyper.switches, hyper.picks]
        varied, targets, changed = engine.shared(self._vary, arguments)
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

    def export(self, flat: Any, others: Sequence[Any]) -> keras.Model:
        """The model with these values: stock layers, raw uint8 images in, class probabilities out."""
        for variable, value in zip(
            [*self.weights, *self.others], [*self.unflatten(flat), *others], strict=True
        ):
            variable.assign(value)
        return stock_model(self.model, self.outputs.final)

    def _logits(self, outputs: Any) -> Any:
        return self.outputs.logits(ops.cast(outputs, "float32"), self.is_probability)


def _shaped(part: Any, variable: keras.Variable) -> Any:
    # Most variables are vectors already, and each operation left out is two less to trace, with its gradient.
    part = part if len(variable.shape) == 1 else ops.reshape(part, variable.shape)
    return ops.cast(part, variable.dtype)


@cache
def augmentation(fully: bool, shape: tuple[int | None, ...]) -> tuple[Augment, Callable[..., Any]]:
    """The process's one augmentation of images of a shape, and it as a function of its variables' values."""
    augment = Augment(fully, name="augment")
    augment.build(shape)

    def vary(values: Any, images: Any, targets: Any, switches: Any, picks: Any) -> tuple[Any, Any, Any]:
        (varied, targets), changed = augment.stateless_call(
            [], values, images, targets, switches, picks, training=True
        )
        return varied, targets, changed

    return augment, vary
