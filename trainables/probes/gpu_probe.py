"""The GPU memory that a search's trials take, measured on a few configurations, and the share of a GPU for it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, cast

from toprung.trainables.backend.gpu_memory import CONTEXT_MEGABYTES, MIN_MEGABYTES, visible_gpu_megabytes
from toprung.trainables.trial.failures import catch_failure
from toprung.trainables.trial.resource_usage import device_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from toprung.trainables.worker.plan import TrialPlan


# For fragments between tensors, and for configurations that take more than those measured; batches of what takes more
# still are cut into micro-batches (see `toprung.trainables.worker.trial_runner`).
MARGIN = 1.25
MAX_SHARING = 4  # processes on one GPU take turns: more of them fill no more of the gaps between their steps


class ProbedTrainer(Protocol):
    """A trainer whose memory is measured."""

    def reset(self, config: Mapping[str, object], seed: int) -> None:
        """Start a configuration from scratch."""

    def try_out(self) -> None:
        """Make one training step and predict one batch of validation images."""


@dataclass(frozen=True)
class GpuNeed:
    """The most that tensors took at once in a process that tried `configurations`, and the memory of its GPU."""

    need_bytes: int
    total_megabytes: int
    configurations: int

    def share(self, most: int = MAX_SHARING) -> float:
        """The smallest of 1, 1/2, ... 1/most of a GPU whose cap (see `share_megabytes`) holds the need.

        Rounded down to the ten-thousandths that Ray counts in.
        """
        needed = max(MIN_MEGABYTES, math.ceil(self.need_bytes * MARGIN / 2**20))
        shares = [math.floor(1e4 / sharing) / 1e4 for sharing in range(min(most, MAX_SHARING), 1, -1)]
        fits = (share for share in shares if int(share * self.total_megabytes) - CONTEXT_MEGABYTES >= needed)
        return next(fits, 1.0)


def probe_trials(plan: TrialPlan, configs: Sequence[Mapping[str, object]]) -> GpuNeed | None:
    """Measure what the trials of a plan need, in this process; no other may compute on its GPU meanwhile."""
    from toprung.trainables.worker.trainer_source import CachedTrainerSource

    source = CachedTrainerSource(replace(plan, gpus=1.0))
    return measure_need(lambda config: cast("ProbedTrainer", source.trainer(config, None, 1)), configs)


def measure_need(
    trainer_of: Callable[[Mapping[str, object]], ProbedTrainer],
    configs: Sequence[Mapping[str, object]],
    peak_bytes: Callable[[], int] = device_bytes,
    total_megabytes: Callable[[], int | None] = visible_gpu_megabytes,
) -> GpuNeed | None:
    """Try configurations one after the other in this process, as a worker would hold them.

    A configuration that fails here will fail as a trial too, and is left out.

    Args:
        trainer_of: The trainer of a configuration.
        configs: The configurations.
        peak_bytes: The peak memory of tensors in this process.
        total_megabytes: The memory of the GPU.

    Returns:
        The need; None if the device reports nothing or no configuration could be tried.
    """

    def try_out(config: Mapping[str, object]) -> None:
        trainer = trainer_of(config)
        trainer.reset(config, 0)
        trainer.try_out()

    failures = [catch_failure(lambda config=config: try_out(config)) for config in configs]  # type: ignore[misc]
    tried = sum(not failure for failure in failures)
    need_bytes, megabytes = peak_bytes(), total_megabytes()
    if not tried or not need_bytes or not megabytes:
        return None
    return GpuNeed(need_bytes, megabytes, tried)
