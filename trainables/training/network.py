"""A model behind its augmentation as pure functions of tensors, for any Keras backend.

Nothing here changes a variable: the state goes in and comes out. That makes a reset an assignment, a checkpoint a
copy, and the same code run under TensorFlow and JAX. Imports keras at the top: only processes that train load it.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from toprung.trainables.augment.layer import Augment
from toprung.trainables.backend.keras_internals import all_layers
from toprung.trainables.backend.operations import ops
from toprung.trainables.models.export import ends_in, stock_model
from toprung.trainables.models.initialization import is_seed
from toprung.trainables.models.layers import runtime_variables
from toprung.trainables.optimization.optimizers import OptimizerState
from toprung.trainables.training.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from toprung.trainables.backend.engine import Engine
    from toprung.trainables.backend.tensors import Shape, Tensor
    from toprung.trainables.optimization.hyperparameters import RuntimeHyperparameters
    from toprung.trainables.training.heads import Head


# Keras' names of variables that are no kernels, also where they have several axes, as attention's biases have and norms
# over images.
NO_KERNELS = frozenset({"bias", "beta", "gamma", "scale"})


class Network:
    """A model behind its augmentation, as functions of a flat weight vector and the non-trainable variables.

    weights, non_trainable: the model's variables; the second begin with those of the augmentation.
    sizes: the numbers in each variable of `weights`.
    """

    input_dtype = "uint8"

    def __init__(
        self,
        model: keras.Model,
        head: Head,
        augments_fully: bool = False,
        depths: Mapping[int, float] | None = None,
    ) -> None:
        self.model, self.head = model, head
        self._depths = depths or {}
        self.augment, self._vary = shared_augmentation(augments_fully, model.input_shape)
        self.weights: list[keras.Variable] = model.trainable_variables
        self.non_trainable: list[keras.Variable] = [
            *self.augment.non_trainable_variables,
            *model.non_trainable_variables,
        ]
        self.sizes = [int(np.prod(variable.shape)) for variable in self.weights]
        self._own_count = len(self.augment.non_trainable_variables)
        self._has_constraints = any(variable.constraint is not None for variable in self.weights)
        self._is_probability = ends_in(model, head.final_activation)

    @property
    def layers(self) -> list[keras.Layer]:
        """Every layer, the augmentation first."""
        return [self.augment, *all_layers(self.model)]

    @property
    def parameter_count(self) -> int:
        """The numbers in weights and statistics of the model, without seeds and runtime hyperparameters."""
        runtime = runtime_variables(self.layers)
        counted = [v for v in self.model.variables if not is_seed(v) and id(v) not in runtime]
        return sum(int(np.prod(variable.shape)) for variable in counted)

    def with_augmentation(self, state: State, strength: float) -> State:
        """The state with another strength of the augmentation, from the next step on."""
        non_trainable = [
            ops.convert_to_tensor(strength, "float32") if variable is self.augment.strength else value
            for variable, value in zip(self.non_trainable, state.non_trainable, strict=True)
        ]
        return state._replace(non_trainable=tuple(non_trainable))

    def decays(self) -> np.ndarray:
        """1 for every weight in a kernel (two axes or more), 0 in biases and norms; float32 (weights,)."""
        kernels = [len(v.shape) > 1 and v.name not in NO_KERNELS for v in self.weights]
        flags = [np.full(size, kernel) for kernel, size in zip(kernels, self.sizes, strict=True)]
        return np.concatenate(flags).astype(np.float32)

    def depths(self) -> np.ndarray | None:
        """The depth of each weight in the model, float32 (weights,) from 0 at the output; None without depths."""
        if not self._depths:
            return None
        each = [self._depths.get(id(variable), 0.0) for variable in self.weights]
        return np.repeat(np.asarray(each, np.float32), self.sizes)

    @cached_property
    def state_signature(self) -> State:
        """The shapes and dtypes of a state of this network, as KerasTensors."""
        flat = keras.KerasTensor((sum(self.sizes),), "float32")
        non_trainable = tuple(
            keras.KerasTensor(v.shape, keras.backend.standardize_dtype(v.dtype)) for v in self.non_trainable
        )
        optimizer = OptimizerState(flat, flat, flat, keras.KerasTensor((None,), "float32"))
        return State(keras.KerasTensor((), "int32"), optimizer, non_trainable)

    def as_tensors(self, state: State) -> State:
        """The state on the device, in the dtypes of `state_signature`."""
        optimizer = OptimizerState(*(ops.convert_to_tensor(value, "float32") for value in state.optimizer))
        pairs = zip(state.non_trainable, self.state_signature.non_trainable, strict=True)
        non_trainable = tuple(ops.convert_to_tensor(value, spec.dtype) for value, spec in pairs)
        return State(ops.convert_to_tensor(state.step, "int32"), optimizer, non_trainable)

    def check_fits(self, state: State, averaged: bool) -> None:
        """Check that the arrays of a state have the shapes of this network's.

        Args:
            state: A state as arrays.
            averaged: Whether an average of the weights is kept.

        Raises:
            ValueError: They have other shapes.
        """
        count = sum(self.sizes)
        expected = [(count,)] * 3 + [(count if averaged else 0,)]
        shapes = [tuple(variable.shape) for variable in self.non_trainable]
        found = [tuple(value.shape) for value in state.non_trainable]
        if [tuple(value.shape) for value in state.optimizer] != expected or found != shapes:
            raise ValueError(
                f"The state has {state.optimizer.weights.shape[0]} weights and {len(found)} other variables, must have "
                f"{count} and {len(shapes)} of the same shapes"
            )

    def unflatten(self, flat: Tensor, head_only: bool = False) -> list[Tensor]:
        """The tensors of `weights` cut out of a flat vector; with `head_only` gradients stop below the head."""
        pieces = ops.split(flat, np.cumsum(self.sizes)[:-1].tolist())
        if head_only:
            is_below = [self._depths.get(id(variable), 0.0) > 0 for variable in self.weights]
            pieces = [
                ops.stop_gradient(piece) if below else piece
                for piece, below in zip(pieces, is_below, strict=True)
            ]
        return [_shaped(piece, variable) for piece, variable in zip(pieces, self.weights, strict=True)]

    def constrain(self, flat: Tensor) -> Tensor:
        """The flat weights after each variable's own constraint, such as max-norm."""
        if not self._has_constraints:
            return flat
        pairs = zip(self.unflatten(flat), self.weights, strict=True)
        values = [variable.constraint(value) if variable.constraint else value for value, variable in pairs]
        return ops.concatenate([ops.reshape(ops.cast(value, "float32"), (-1,)) for value in values])

    def vary(
        self,
        engine: Engine,
        non_trainable: Sequence[Tensor],
        images: Tensor,
        targets: Tensor,
        hyperparameters: RuntimeHyperparameters,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Augmented images and their targets, and the non-trainable values with the augmentation's seed advanced."""
        own, others = list(non_trainable[: self._own_count]), non_trainable[self._own_count :]
        switches, picks = hyperparameters.augment_switches, hyperparameters.augment_picks
        varied, targets, changed = engine.call_shared(self._vary, [own, images, targets, switches, picks])
        return varied, targets, (*changed, *others)

    def forward(
        self, flat: Tensor, non_trainable: Sequence[Tensor], images: Tensor, head_only: bool = False
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Training mode: logits of images, the sum of the layers' own losses, the new non-trainable values."""
        values = list(non_trainable[self._own_count :])
        outputs, changed, losses = self.model.stateless_call(
            self.unflatten(flat, head_only), values, images, training=True, return_losses=True
        )
        layer_loss = sum((ops.cast(loss, "float32") for loss in losses), start=ops.zeros(()))
        return self._logits(outputs), layer_loss, (*non_trainable[: self._own_count], *changed)

    def infer(self, flat: Tensor, non_trainable: Sequence[Tensor], images: Tensor) -> Tensor:
        """Inference mode: logits, float32 (batch, classes)."""
        values = list(non_trainable[self._own_count :])
        outputs, _ = self.model.stateless_call(self.unflatten(flat), values, images, training=False)
        return self._logits(outputs)

    def export(
        self,
        flat: Tensor,
        non_trainable: Sequence[Tensor],
        temperature: float = 1.0,
        flip_average: bool = False,
    ) -> keras.Model:
        """The model with these values: stock layers, raw uint8 images in, class probabilities out."""
        variables, values = [*self.weights, *self.non_trainable], [*self.unflatten(flat), *non_trainable]
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return stock_model(self.model, self.head.final_activation, temperature, flip_average)

    def _logits(self, outputs: Tensor) -> Tensor:
        return self.head.logits(ops.cast(outputs, "float32"), self._is_probability)


def _shaped(piece: Tensor, variable: keras.Variable) -> Tensor:
    # Most variables are vectors already, and each operation left out is two less to trace, with its gradient.
    piece = piece if len(variable.shape) == 1 else ops.reshape(piece, variable.shape)
    return ops.cast(piece, variable.dtype)


@cache
def shared_augmentation(fully: bool, shape: Shape) -> tuple[Augment, Callable[..., Any]]:
    """The process's one augmentation of images of a shape, and it as a function of its variables' values."""
    augment = Augment(fully, name="augment")
    augment.build(shape)

    def vary(
        values: list[Tensor], images: Tensor, targets: Tensor, switches: Tensor, picks: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        (varied, mixed), changed = augment.stateless_call(
            [], values, images, targets, switches, picks, training=True
        )
        return varied, mixed, changed

    return augment, vary
