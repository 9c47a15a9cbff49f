"""What the trials of a search will be like, before there is one."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from toprung.search.preparation.prepare import sampled_configs
from toprung.trainables.backend.autotune import Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.search.preparation.prepare import PreparedJob


def typical_workload(prepared: PreparedJob, workers: int) -> Workload:
    """How long the trials of a job train on average, and as many examples as each of `workers` will train."""
    search = prepared.job.search
    rungs = prepared.strategy.rung_epochs
    epochs = expected_epochs(search.trials, rungs, search.reduction_factor) / search.trials
    each = max(1, search.trials // max(1, workers))
    return Workload(epochs, tuple(islice(sampled_configs(prepared.space), each)))


def expected_epochs(trials: int, rungs: Sequence[int], reduction_factor: int) -> int:
    """Epochs a search trains if just one trial in `reduction_factor` passes each rung (Li et al. 2020)."""
    steps = [rung - before for rung, before in zip(rungs, (0, *rungs), strict=False)]
    return sum(max(1, round(trials / reduction_factor**level)) * step for level, step in enumerate(steps))
