"""Everything that training changes, on the device and as the named arrays that a checkpoint keeps.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from toprung.trainables.backend.operations import ops
from toprung.trainables.optimization.optimizers import OptimizerState

if TYPE_CHECKING:
    from toprung.trainables.backend.tensors import Tensor

OPTIMIZER, NON_TRAINABLE = "optimizer/", "non_trainable/"  # prefixes of the arrays' names


class State(NamedTuple):
    """Everything that training changes.

    step: int32, the steps since the reset or since the phase began.
    optimizer: the weights and the optimizer's memory.
    non_trainable: the non-trainable variables (batch-norm statistics, seeds, runtime hyperparameters) in the order of
        `Network.non_trainable`.
    """

    step: Tensor
    optimizer: OptimizerState
    non_trainable: tuple[Tensor, ...]

    def arrays(self) -> dict[str, np.ndarray]:
        """Copies on the host, by name."""
        optimizer = {OPTIMIZER + name: value for name, value in self.optimizer._asdict().items()}
        variables = {f"{NON_TRAINABLE}{index:04d}": value for index, value in enumerate(self.non_trainable)}
        named = {"step": self.step, **optimizer, **variables}
        return {name: np.array(ops.convert_to_numpy(value)) for name, value in named.items()}

    def with_empty_optimizer(self) -> State:
        """The same weights before the first step of a new schedule."""
        empty = ops.zeros_like(self.optimizer.first_moment)
        optimizer = self.optimizer._replace(first_moment=empty, second_moment=empty)
        return self._replace(step=np.asarray(0, np.int32), optimizer=optimizer)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> State:
        """The state that `arrays` returned, still on the host; arrays with other names are ignored.

        Raises:
            KeyError: An array of a state is missing; its name.
        """
        needed = [
            OPTIMIZER + name for name in OptimizerState._fields if name not in OptimizerState._field_defaults
        ]
        if missing := [name for name in needed if name not in arrays]:
            raise KeyError(missing[0])
        non_trainable = tuple(arrays[name] for name in sorted(arrays) if name.startswith(NON_TRAINABLE))
        kept = {name: arrays.get(OPTIMIZER + name) for name in OptimizerState._fields}
        optimizer = OptimizerState(**{name: value for name, value in kept.items() if value is not None})
        return cls(arrays["step"], optimizer, non_trainable)
