"""What a worker needs of a trainer, and of where trainers come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from toprung.trainables.trial.execution import ExecutionPlan, ExecutionRecord
    from toprung.trainables.trial.resource_usage import ResourceUsage


class TrialTrainer(Protocol):
    """A model with its optimizer, reset in place for each trial."""

    execution_plan: ExecutionPlan

    @property
    def parameter_count(self) -> int:
        """The numbers in weights and statistics of the model."""

    @property
    def execution_record(self) -> ExecutionRecord:
        """How the current trial is computed, for its row."""

    def reset(self, config: Mapping[str, object], seed: int) -> None:
        """Start a configuration from scratch."""

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """Train and validate one epoch (1-based); returns its metrics."""

    def clean_train_accuracy(self) -> float:
        """The accuracy on training images without augmentation and dropout, after the newest epoch."""

    def latency_ms(self) -> float:
        """Milliseconds from one image as an array to its logits."""

    def epoch_secs(self) -> float:
        """Seconds of the training of an epoch, by a few steps; right after a reset, and undone."""

    def take_usage(self) -> ResourceUsage:
        """What building, compiling, waiting for data and validating took since the last call."""

    def state(self) -> dict[str, np.ndarray]:
        """Everything needed to continue bit for bit."""

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from what `state` returned."""


class TrainerSource(Protocol):
    """Where a worker's trainers come from."""

    def trainer(
        self, config: Mapping[str, object], plan: ExecutionPlan | None, min_micro_batches: int
    ) -> TrialTrainer:
        """The trainer of a configuration's structure.

        Args:
            config: The trial's configuration.
            plan: How it computes; None for the plan of this worker.
            min_micro_batches: Its batches are cut into at least so many.
        """

    def take_startup_secs(self) -> float:
        """What getting ready to build any trainer took; 0 after the first call."""

    def make_room(self) -> None:
        """Free the memory of whatever is kept for later trials."""
