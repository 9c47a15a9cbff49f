"""How the steps of a trial are computed: what a job asks for, what a worker takes, what a trial's row tells.

None of it is part of a trial's configuration: it changes the speed, and the result by rounding and,
between XLA and none, by other draws of dropout alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

FLOAT32, MIXED = "float32", "mixed_bfloat16"


PRECISIONS = (FLOAT32, MIXED)
"""By Keras' names. Mixed computes layers in bfloat16; weights, optimizer, output layer and loss stay float32."""


@dataclass(frozen=True)
class ExecutionRequest:
    """What a job asks for; None leaves it to a measurement on the device at hand."""

    precision: str | None = None
    xla: bool | None = None
    steps_per_call: int | None = None


@dataclass(frozen=True)
class ExecutionPlan:
    """How a model's steps are computed.

    A call runs `steps_per_call` steps at most (None: as many as its images fit). A batch goes through the model in
    `parts` one after the other, their gradients added up to that of the batch, which takes less memory. All but
    `steps_per_call` decides how results are rounded: a trial goes on as it began wherever it goes on.
    """

    precision: str = FLOAT32
    xla: bool = False
    steps_per_call: int | None = None
    parts: int = 1

    @property
    def compiled(self) -> tuple[str, bool, int]:
        """What of it is compiled in."""
        return self.precision, self.xla, self.parts

    def to_json(self) -> str:
        """For `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ExecutionPlan:
        """What `to_json` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class ExecutionRecord:
    """What a trial's row tells: the kind of device and how it was used.

    `steps_per_call` is None before the first epoch, `micro_batch_size`, in images, where batches stay whole.
    """

    device: str
    precision: str
    xla: bool
    steps_per_call: int | None = None
    micro_batch_size: int | None = None
