"""Keras' operations on tensors with types: Keras has none, and without them nothing about a tensor is checked.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from toprung.trainables.backend.tensors import Tensor

    class Operations(Protocol):
        """`keras.ops`: every operation returns a tensor, but for those that are named here."""

        image: Operations

        def __getattr__(self, name: str) -> Callable[..., Tensor]: ...
        def shape(self, x: Tensor) -> Sequence[Any]: ...
        def split(self, x: Tensor, indices_or_sections: Any, axis: int = 0) -> list[Tensor]: ...
        def convert_to_numpy(self, x: Any) -> np.ndarray: ...
        def cond(self, pred: Tensor, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any: ...
        def switch(self, index: Tensor, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any: ...
        def while_loop(self, cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any) -> Any: ...

    ops: Operations
else:
    from keras import ops

__all__ = ["ops"]
