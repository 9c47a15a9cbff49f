"""A recorded trial trained again in this process, computed as it was computed then."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from toprung.trainables.system.imports import silence_native_stderr, start_keras_quietly
from toprung.trainables.worker.checkpoints import CheckpointStore
from toprung.trainables.worker.trainer_source import CachedTrainerSource
from toprung.trainables.worker.trial_runner import TrialRunner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from toprung.trainables.trial.execution import ExecutionPlan
    from toprung.trainables.trial.messages import EpochResult, TrialStart
    from toprung.trainables.worker.interfaces import TrialTrainer
    from toprung.trainables.worker.plan import TrialPlan


class RepeatSource(CachedTrainerSource):
    """Builds trainers that compute as a recorded plan says, whatever the job asks for or would measure.

    Args:
        plan: As of a search's trials.
        execution: How the trial was computed; None where it never was.
    """

    def __init__(self, plan: TrialPlan, execution: ExecutionPlan | None) -> None:
        super().__init__(plan)
        self._execution = execution

    def trainer(
        self, config: Mapping[str, object], plan: ExecutionPlan | None, min_micro_batches: int
    ) -> TrialTrainer:
        """The trainer of a configuration's structure."""
        return super().trainer(config, plan or self._execution, min_micro_batches)

    def start_backend(self) -> None:
        """As in a worker, with its number of threads; what TensorFlow prints would stand between the epochs."""
        with silence_native_stderr():
            super().start_backend()
        start_keras_quietly()


def repeat_trial(
    plan: TrialPlan, start: TrialStart, execution: ExecutionPlan | None, epochs: int
) -> Iterator[EpochResult]:
    """Train a trial from its first epoch; its states lie in a temporary folder for as long as it takes.

    Args:
        plan: As of a search's trials; its checkpoints are not touched.
        start: The trial.
        execution: How it was computed.
        epochs: The last epoch to train.

    Yields:
        The result of each epoch; the last one says how the training failed, if it did.
    """
    with tempfile.TemporaryDirectory(prefix="toprung-") as states:
        run = TrialRunner(RepeatSource(plan, execution), CheckpointStore(states), plan.rules)
        run.begin(start)
        while True:
            result = run.step()
            yield result
            report = result.report
            is_over = report is None or not report.is_finite or report.epoch >= epochs
            if result.failure or is_over:
                break
        run.end()
