"""How the steps of a trial are computed: what a job requests, what a worker decides, what a trial's row records.

None of it is part of a trial's configuration. It changes the speed, the rounding of the result and, between XLA and
no XLA, the random numbers of dropout.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

FLOAT32, MIXED = "float32", "mixed_bfloat16"


PRECISIONS = (FLOAT32, MIXED)
"""By Keras' names. Mixed computes layers in bfloat16; weights, optimizer, output layer and loss stay float32."""


@dataclass(frozen=True)
class ExecutionRequest:
    """What a job requests; None leaves the setting to a measurement on the device."""

    precision: str | None = None
    xla: bool | None = None
    steps_per_call: int | None = None


@dataclass(frozen=True)
class ExecutionPlan:
    """How a model's steps are computed.

    `steps_per_call` is the largest number of steps in one call; None stands for as many as the call's images allow.
    `micro_batches` is how many pieces each batch is cut into. They go through the model one after the other and their
    gradients add up to that of the batch, which takes less memory. Every field but `steps_per_call` changes how
    results are rounded, so a trial keeps its plan wherever it is resumed.
    """

    precision: str = FLOAT32
    xla: bool = False
    steps_per_call: int | None = None
    micro_batches: int = 1

    @property
    def compile_key(self) -> tuple[str, bool, int]:
        """The fields that are compiled into a model: plans with equal keys share one."""
        return self.precision, self.xla, self.micro_batches

    def to_json(self) -> str:
        """The plan as JSON text, for `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ExecutionPlan:
        """The plan that `to_json` wrote.

        Raises:
            ValueError, KeyError, TypeError: The text is not one that `to_json` wrote.
        """
        return cls(**json.loads(text))


@dataclass(frozen=True)
class ExecutionRecord:
    """How a trial was computed, as its row records it; the fields are columns of the trials table.

    `device` is the vendor's name of the device, or "cpu". `steps_per_call` is None before the first epoch.
    `micro_batch_size` is in images, None for batches that stay whole.
    """

    device: str
    precision: str
    xla: bool
    steps_per_call: int | None = None
    micro_batch_size: int | None = None
