"""What a trial needs of whatever trains it, and of where that comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from toprung.trainables.trial.execution import ExecutionPlan, ExecutionRecord
    from toprung.trainables.trial.resource_usage import ResourceUsage


class Trainer(Protocol):
    """What trains: a model with its optimizer, reset in place for each trial."""

    parameter_count: int
    computation: ExecutionPlan

    @property
    def computed(self) -> ExecutionRecord:
        """How the trial at hand is computed, for its row."""

    def reset(self, config: Mapping[str, object], seed: int) -> None:
        """Start a configuration from scratch."""

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """Train and validate one epoch (1-based); returns its metrics."""

    def latency_ms(self) -> float:
        """How long one image takes from array to probabilities, in milliseconds."""

    def take_costs(self) -> ResourceUsage:
        """What building, compiling, waiting for data and validating took since the last call."""

    def state(self) -> dict[str, np.ndarray]:
        """Everything needed to go on bit for bit."""

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take up a state that `state` gave."""


class TrainerSource(Protocol):
    """Where a worker's trainers come from."""

    def trainer(
        self, config: Mapping[str, object], computation: ExecutionPlan | None, least_parts: int
    ) -> Trainer:
        """The trainer of `config`'s structure; it computes as `computation` says (None: as this worker chose).

        Its batches are cut into `least_parts` parts or more.
        """

    def take_startup_secs(self) -> float:
        """What getting ready to build any trainer took, told once."""

    def make_room(self) -> None:
        """Give back the memory of whatever is kept for later trials."""
