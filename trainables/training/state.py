"""Everything that training changes, on the device and as the named arrays that a checkpoint keeps.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from toprung.trainables.optimization.optimizers import OptimizerState


class State(NamedTuple):
    """Everything that training changes.

    `step` int32 counts steps since the reset; `moments` are the weights and optimizer memories; `others`
    holds the non-trainable variables (batch-norm statistics, seeds, dials) in the order of `Network.others`.
    """

    step: Any
    moments: OptimizerState
    others: tuple[Any, ...]

    def arrays(self) -> dict[str, np.ndarray]:
        """Copies on the host, by name."""
        moments = {f"moments/{name}": value for name, value in self.moments._asdict().items()}
        others = {f"others/{index:04d}": value for index, value in enumerate(self.others)}
        named = {"step": self.step, **moments, **others}
        return {name: np.array(ops.convert_to_numpy(value)) for name, value in named.items()}

    def with_empty_optimizer(self) -> State:
        """The same weights, before the first step of a schedule of their own."""
        empty = ops.zeros_like(self.moments.first)
        return self._replace(
            step=np.asarray(0, np.int32), moments=self.moments._replace(first=empty, second=empty)
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> State:
        """What `arrays` was taken of, still on the host; other names are passed over."""
        others = tuple(arrays[name] for name in sorted(arrays) if name.startswith("others/"))
        kept = {name: arrays.get(f"moments/{name}") for name in OptimizerState._fields}
        moments = OptimizerState(**{name: value for name, value in kept.items() if value is not None})
        return cls(arrays["step"], moments, others)
