"""The results of a trial: one report for each epoch, and one outcome at its end."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


CLEAN_TRAIN_ACCURACY = "clean_train_accuracy"
"""The metric of the rungs that stands beside `train_accuracy`, which is measured while the weights change."""


class Outcome(StrEnum):
    """How a trial ended.

    COMPLETED reached its last epoch, STOPPED was stopped early, DIVERGED reported a value that is not finite, OOM
    ran out of memory, PREEMPTED lost its worker and has no retries left, TIMEOUT took too long, FAILED raised an
    error. Only the values of the first two may train a surrogate model unchanged.
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
        """Whether a search avoids configurations like this one; not after a lost worker."""
        return self in (Outcome.DIVERGED, Outcome.OOM, Outcome.TIMEOUT, Outcome.FAILED)

    @property
    def may_win(self) -> bool:
        """Whether the trial's values may make it the winner; also after a lost worker or a timeout."""
        return self not in (Outcome.DIVERGED, Outcome.OOM, Outcome.FAILED)

    @property
    def rules_out_config(self) -> bool:
        """Whether one such training excludes the configuration as a winner, however good its other trainings were."""
        return self in (Outcome.DIVERGED, Outcome.OOM)


class EpochReport(NamedTuple):
    """What one trial measured after one epoch.

    `epoch` is 1-based and keeps counting when a trial is resumed (0 stands for the untrained model). `metrics` maps a
    name such as `val_accuracy` to a float, which is NaN or infinite when a training diverged. `epoch_secs` are the
    seconds of this epoch, `elapsed_secs` those of all the trial's epochs so far.
    """

    trial_id: str
    epoch: int
    metrics: Mapping[str, float] = {}
    epoch_secs: float = 0.0
    elapsed_secs: float = 0.0

    @property
    def is_finite(self) -> bool:
        """Whether every metric is finite; one NaN or infinity makes the trial DIVERGED."""
        return all(map(math.isfinite, self.metrics.values()))
