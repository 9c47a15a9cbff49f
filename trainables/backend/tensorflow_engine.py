"""Compiling and differentiating under TensorFlow. Only processes whose Keras backend it is load this file."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class TensorFlowEngine:
    """`tf.function` around many steps; with `xla`, each step's forward and backward pass is one XLA program.

    The loop and the augmentation stay outside XLA, which has no affine image kernel.
    """

    def __init__(self, xla: bool, accelerated: bool) -> None:
        self.xla = xla
        if not accelerated:
            # On a CPU TensorFlow's graph rewrites cost 0.1 s a structure and make these steps no faster.
            tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

    def value_and_grad(self, function: Callable[[Any], tuple[Any, Any]], weights: Any) -> tuple[Any, Any]:
        def both(weights: Any) -> tuple[Any, Any]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(weights)
                loss, extra = function(weights)
            return extra, tape.gradient(loss, weights)

        if not self.xla:
            return both(weights)
        result: tuple[Any, Any] = tf.function(both, autograph=False, jit_compile=True)(weights)
        return result

    def compile(self, function: Callable[..., Any], signature: Sequence[Any]) -> Callable[..., Any]:
        specs = tf.nest.map_structure(lambda spec: tf.TensorSpec(spec.shape, spec.dtype), list(signature))
        compiled = tf.function(function, input_signature=specs, autograph=False)
        # Traced and its kernels set up here, so that no epoch pays for it.
        compiled(
            *tf.nest.map_structure(
                lambda spec: tf.zeros([size or 1 for size in spec.shape], spec.dtype), specs
            )
        )
        traced: Callable[..., Any] = compiled
        return traced

    def shared(self, function: Callable[..., Any], arguments: Sequence[Any], like: Any = None) -> Any:
        if like is None:
            return _traced_once(function)(*arguments)
        result = _traced_once(function, tuple(_of_any_size(part) for part in arguments))(*arguments)
        for part, model in zip(tf.nest.flatten(result), tf.nest.flatten(like), strict=True):
            part.set_shape(model.shape)
        return result


def _of_any_size(argument: Any) -> Any:
    """The specs of a tree of arrays, each axis free; hashable."""
    return tf.nest.map_structure(lambda part: tf.TensorSpec([None] * len(part.shape), part.dtype), argument)


@cache
def _traced_once(
    function: Callable[..., Any], signature: tuple[Any, ...] | None = None
) -> Callable[..., Any]:
    traced: Callable[..., Any] = tf.function(function, input_signature=signature, autograph=False)
    return traced
