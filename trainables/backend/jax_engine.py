"""Compiling and differentiating under JAX. Only processes whose Keras backend it is load this file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from toprung.trainables.backend.tensors import LossFunction, Tensor


class JaxEngine:
    """`jax.jit` around many steps. Another batch size compiles once more: JAX has no free axes."""

    xla = True

    def value_and_grad(self, function: LossFunction, weights: Tensor) -> tuple[Any, Tensor]:
        (_, extra), gradient = jax.value_and_grad(function, has_aux=True)(weights)
        return extra, gradient

    def compile(self, function: Callable[..., Any], signature: Sequence[Any]) -> Callable[..., Any]:
        del signature
        compiled: Callable[..., Any] = jax.jit(function)
        return compiled

    def call_shared(self, function: Callable[..., Any], arguments: Sequence[Any], like: Any = None) -> Any:
        del like
        return function(*arguments)
