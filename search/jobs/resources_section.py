"""The section `resources` of a job file: what one trial gets, how it computes, and how many run at once."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from toprung.search.jobs.section import Section
from toprung.trainables.trial.execution import ExecutionRequest

SMALLEST_SHARE = 1e-4
"""The smallest share of a core or of a GPU that Ray counts."""


class ResourcesSection(Section):
    """What one trial gets, how it computes, and how many run at once."""

    cpus: Annotated[float, Field(ge=SMALLEST_SHARE)] = Field(1, description="CPU cores of a trial.")
    gpus: float | Literal["auto"] = Field(
        "auto",
        description="GPUs of a trial, at most 1; 0.5 puts two trials on a GPU, auto as many as fit by a measurement, "
        "and none where the cluster has no GPU.",
    )
    concurrent: Annotated[int, Field(gt=0)] | None = Field(
        None,
        description="Number of workers wanted, one trial each; null for as many as the cluster holds, and one more "
        "for which it may grow.",
    )
    precision: Literal["auto", "float32", "mixed_bfloat16"] = Field(
        "auto",
        description="Precision of a trial's layers; auto: the faster one on an accelerator, float32 on a CPU.",
    )
    xla: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether XLA compiles the training step; auto: whatever is faster on an accelerator, off on a CPU.",
    )
    steps_per_call: Annotated[int, Field(gt=0)] | None = Field(
        None,
        description="Maximum number of training steps in one call of the device; null for the fastest number.",
    )
    deterministic: bool = Field(
        False,
        description="Whether a trial repeats bit for bit on a GPU too: slower steps, and float32 without XLA where "
        "these are auto.",
    )
    worker_memory_gb: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        None,
        description="Memory in GB above which a worker is replaced between trials; null for 0.8 of its cores' share.",
    )
    max_failures: Annotated[int, Field(ge=0)] = Field(
        3,
        description="Number of restarts of a trial whose worker died; the death of a whole node does not count.",
    )
    wait_minutes: Annotated[float, Field(ge=0, le=525_600)] = Field(
        30.0,
        description="Minutes for which a search waits while no node of the cluster can hold a trial; 0 ends it at "
        "once.",
    )
    max_epoch_hours: Annotated[float, Field(ge=1e-4, le=8760)] = Field(
        6.0,
        description="Maximum hours of an epoch; a worker that reports nothing for longer is replaced.",
    )

    @field_validator("gpus", mode="plain")
    @classmethod
    def number_or_auto(cls, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
        # Whole numbers above are refused when the job is to run: the jobs of earlier runs that hold them can be read.
        if value != "auto" and not (is_number and (value <= 1 or value == int(value))):
            raise PydanticCustomError("gpus", "must be 0 to 1, or auto")
        if is_number and 0 < value < SMALLEST_SHARE:
            raise PydanticCustomError("gpus", "must be 0, or at least 0.0001, or auto")
        return value if value == "auto" else float(value)

    @field_validator("xla", mode="before")
    @classmethod
    def accept_yaml_booleans(cls, value: Any) -> Any:
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value

    def execution_request(self) -> ExecutionRequest:
        """How the workers are to compute; None in a field leaves the choice to a measurement."""
        # The result of a measurement may differ from run to run, so a deterministic job leaves nothing open.
        open_precision, open_xla = ("float32", False) if self.deterministic else (None, None)
        return ExecutionRequest(
            precision=open_precision if self.precision == "auto" else self.precision,
            xla=open_xla if self.xla == "auto" else self.xla == "on",
            steps_per_call=self.steps_per_call,
        )
