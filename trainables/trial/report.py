"""What a trial tells the driver: one report an epoch, and one outcome at its end."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Outcome(StrEnum):
    """How a trial ended.

    COMPLETED reached its last epoch, STOPPED was cut at a rung, DIVERGED reported a non-finite value,
    OOM ran out of memory, PREEMPTED lost its worker and its retries, TIMEOUT overran its time,
    FAILED raised an error. Only the first two carry values a model may learn from as they stand.
    """

    COMPLETED = "COMPLETED"
    STOPPED = "STOPPED"
    DIVERGED = "DIVERGED"
    OOM = "OOM"
    PREEMPTED = "PREEMPTED"
    TIMEOUT = "TIMEOUT"
    FAILED = "FAILED"

    @property
    def counts_against_config(self) -> bool:
        """Whether the end speaks against the configuration, so that a search avoids others like it."""
        return self in (Outcome.DIVERGED, Outcome.OOM, Outcome.TIMEOUT, Outcome.FAILED)

    @property
    def may_win(self) -> bool:
        """Whether the trial's values may make it the winner: whoever lost a worker or overran its time still may."""
        return self not in (Outcome.DIVERGED, Outcome.OOM, Outcome.FAILED)

    @property
    def rules_out_config(self) -> bool:
        """Whether one training that ended so rules the configuration out as a winner, however good its others were."""
        return self in (Outcome.DIVERGED, Outcome.OOM)


class EpochReport(NamedTuple):
    """What one trial measured after one epoch.

    `epoch` is 1-based and survives resume (0 stands for the untrained model). `metrics` maps a name such as
    `val_accuracy` to a float. `epoch_secs` is this epoch alone, `elapsed_secs` all the trial's epochs so far.
    """

    trial_id: str
    epoch: int
    metrics: Mapping[str, float] = {}
    epoch_secs: float = 0.0
    elapsed_secs: float = 0.0

    @property
    def is_finite(self) -> bool:
        """Whether every metric is a finite number; one NaN or infinity anywhere makes the trial DIVERGED."""
        return all(map(math.isfinite, self.metrics.values()))
