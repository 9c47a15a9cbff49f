"""Compiling and differentiating under TensorFlow. Only processes whose Keras backend it is load this file."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from toprung.trainables.backend.tensors import LossFunction, Tensor


class TensorFlowEngine:
    """`tf.function` around many steps; with `xla` the forward and backward pass of a step is one XLA program.

    The loop and the augmentation stay outside XLA, which has no kernel for affine transforms of images.
    """

    def __init__(self, xla: bool, accelerated: bool) -> None:
        self.xla = xla
        if not accelerated:
            # On a CPU TensorFlow's graph rewrites take 0.1 s for each structure and make these steps no faster.
            tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

    def value_and_grad(self, function: LossFunction, weights: Tensor) -> tuple[Any, Tensor]:
        def both(weights: Tensor) -> tuple[Any, Tensor]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(weights)
                loss, extra = function(weights)
            return extra, tape.gradient(loss, weights)

        if not self.xla:
            return both(weights)
        result: tuple[Any, Tensor] = tf.function(both, autograph=False, jit_compile=True)(weights)
        return result

    def compile(self, function: Callable[..., Any], signature: Sequence[Any]) -> Callable[..., Any]:
        specs = tf.nest.map_structure(lambda spec: tf.TensorSpec(spec.shape, spec.dtype), list(signature))
        compiled: Callable[..., Any] = tf.function(function, input_signature=specs, autograph=False)
        # The first call traces the function and sets up its kernels, which no epoch should pay for.
        compiled(*tf.nest.map_structure(_zeros, specs))
        return compiled

    def call_shared(self, function: Callable[..., Any], arguments: Sequence[Any], like: Any = None) -> Any:
        if like is None:
            return _traced_once(function)(*arguments)
        result = _traced_once(function, tuple(_free_specs(argument) for argument in arguments))(*arguments)
        for tensor, model in zip(tf.nest.flatten(result), tf.nest.flatten(like), strict=True):
            tensor.set_shape(model.shape)
        return result


def _zeros(spec: Any) -> Any:
    return tf.zeros([size or 1 for size in spec.shape], spec.dtype)


def _free_specs(tree: Any) -> Any:
    """The specs of a tree of tensors with every axis free; hashable."""
    return tf.nest.map_structure(lambda tensor: tf.TensorSpec([None] * len(tensor.shape), tensor.dtype), tree)


@cache
def _traced_once(
    function: Callable[..., Any], signature: tuple[Any, ...] | None = None
) -> Callable[..., Any]:
    traced: Callable[..., Any] = tf.function(function, input_signature=signature, autograph=False)
    return traced
