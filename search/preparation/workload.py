"""What the trials of a search will be like: estimated from its job, before there is one."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from toprung.search.preparation.space_walks import sampled_configs
from toprung.trainables.backend.autotune import Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.search.preparation.prepare import PreparedJob

MOST_SAMPLED = 1000  # configurations, which say as much of a worker's models as more would


def typical_workload(prepared: PreparedJob, workers: int) -> Workload:
    """The epochs that a job's trials train on average, and as many examples as each of `workers` will train."""
    search = prepared.job.search
    rungs = prepared.strategy.rung_epochs
    epochs = expected_epochs(search.trials, rungs, search.reduction_factor) / search.trials
    trials_per_worker = min(MOST_SAMPLED, max(1, search.trials // max(1, workers)))
    return Workload(epochs, tuple(islice(sampled_configs(prepared.space), trials_per_worker)))


def expected_epochs(trials: int, rungs: Sequence[int], reduction_factor: int) -> int:
    """The epochs of a search if exactly one trial in `reduction_factor` passes each rung (ASHA, Li et al. 2020).

    Args:
        trials: Configurations tried.
        rungs: The epochs at which trials are compared, ascending; the last is the full training.
        reduction_factor: The paper's eta.
    """
    steps = [rung - before for rung, before in zip(rungs, (0, *rungs), strict=False)]
    return sum(max(1, round(trials / reduction_factor**level)) * step for level, step in enumerate(steps))
