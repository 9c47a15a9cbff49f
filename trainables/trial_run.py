"""One trial in one process, without Ray: begin or go on from its checkpoint, then an epoch at a time."""

from __future__ import annotations

import hashlib
import json
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from trainables.checkpoint import Checkpoint, CheckpointStore
from trainables.report import EpochReport, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

ERROR_TAIL_CHARS = 2000


class Trainer(Protocol):
    """What trains: a model with its optimizer, reset in place for each trial."""

    parameter_count: int

    def reset(self, config: Mapping[str, Any], seed: int) -> None:
        """Start a configuration from scratch."""

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """Train and validate one epoch (1-based); returns its metrics."""

    def state(self) -> dict[str, np.ndarray]:
        """Everything needed to go on bit for bit."""

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take up a state that `state` gave."""


@dataclass(frozen=True)
class TrialStart:
    """What a worker needs to begin one trial, and what its row needs to be run again."""

    trial_id: str
    number: int
    seed: int
    config: Mapping[str, Any]


@dataclass(frozen=True)
class EpochResult:
    """What one step of a worker tells the driver.

    `report` is None when the trial failed before it could measure anything. `history` holds the reports of a
    trial that goes on from a checkpoint, sent once; `failure` and `error` are set when the trial is over.
    """

    report: EpochReport | None
    history: tuple[EpochReport, ...] = ()
    failure: Outcome | None = None
    error: str = ""
    setup_secs: float = 0.0
    checkpoint_secs: float = 0.0
    parameter_count: int = 0


class TrialRun:
    """The trial a worker holds at the moment.

    A trial goes on from its newest checkpoint wherever it begins: after a worker died, after the driver was
    killed, after a pause. It then first repeats the report of that checkpoint, so that a decision lost with the
    driver is taken before another epoch is trained.
    """

    def __init__(
        self,
        get_trainer: Callable[[Mapping[str, Any]], Trainer],
        store: CheckpointStore,
        *,
        max_epochs: int,
        checkpoint_epochs: frozenset[int],
        checkpoint_secs: float,
        data_fingerprint: str,
        durable_rungs: bool = False,
    ) -> None:
        self._get_trainer = get_trainer
        self._store = store
        self._max_epochs = max_epochs
        self._checkpoint_epochs = checkpoint_epochs | {max_epochs}
        self._checkpoint_secs = checkpoint_secs
        self._data_fingerprint = data_fingerprint
        self._durable_rungs = durable_rungs

    def begin(self, start: TrialStart) -> None:
        """Take up a trial; whatever goes wrong is told by the first `step`, so that the worker lives on."""
        began = time.perf_counter()
        self._start = start
        self._history: list[EpochReport] = []
        self._repeat = False
        self._trainer: Trainer | None = None
        self._failed: EpochResult | None = None
        try:
            self._store.wait()
            trainer = self._get_trainer(start.config)
            trainer.reset(start.config, start.seed)
            self._trainer = trainer
            self._go_on_from_checkpoint(trainer)
        except Exception as error:
            self._failed = failed(error)
        self._saved_at = time.perf_counter()
        self._setup_secs = self._saved_at - began

    def step(self) -> EpochResult:
        """Train one epoch, or repeat the newest one of a trial that was taken up again."""
        if self._failed is not None or self._trainer is None:
            return self._failed or failed(RuntimeError("step before begin"))
        if self._repeat:
            self._repeat = False
            return self._result(self._history[-1], history=tuple(self._history[:-1]))
        try:
            report = self._train(self._trainer)
            checkpoint_secs = self._save_if_due(self._trainer, report)
        except Exception as error:
            return failed(error)
        return self._result(report, checkpoint_secs=checkpoint_secs)

    def end(self) -> None:
        """Wait until the newest checkpoint is on storage."""
        self._store.wait()

    @property
    def identity(self) -> str:
        """Digest of what the trial's state belongs to: configuration, seed and data."""
        parts = [dict(self._start.config), self._start.seed, self._data_fingerprint]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()

    def _go_on_from_checkpoint(self, trainer: Trainer) -> None:
        checkpoint = self._store.load(self._start.trial_id, self.identity)
        if checkpoint is not None:
            trainer.load_state(checkpoint.arrays)
            self._history = [EpochReport(**row) for row in checkpoint.history]
            self._repeat = True

    def _train(self, trainer: Trainer) -> EpochReport:
        before = self._history[-1] if self._history else EpochReport(self._start.trial_id, 0)
        if before.epoch >= self._max_epochs:
            return before
        began = time.perf_counter()
        metrics = trainer.train_epoch(before.epoch + 1)
        secs = time.perf_counter() - began
        report = EpochReport(
            self._start.trial_id, before.epoch + 1, metrics, secs, before.elapsed_secs + secs
        )
        self._history.append(report)
        return report

    def _save_if_due(self, trainer: Trainer, report: EpochReport) -> float:
        """Save at rungs and every `checkpoint_secs`; returns the seconds that the training waited for it."""
        began = time.perf_counter()
        at_rung = report.epoch in self._checkpoint_epochs
        if not report.is_finite or not (at_rung or began - self._saved_at >= self._checkpoint_secs):
            return 0.0
        history = tuple(vars(report) for report in self._history)
        self._store.save(
            Checkpoint(self._start.trial_id, report.epoch, self.identity, history, trainer.state())
        )
        if at_rung and self._durable_rungs:
            self._store.wait()
        self._saved_at = time.perf_counter()
        return self._saved_at - began

    def _result(
        self, report: EpochReport, history: tuple[EpochReport, ...] = (), checkpoint_secs: float = 0.0
    ) -> EpochResult:
        count = self._trainer.parameter_count if self._trainer else 0
        return EpochResult(
            report,
            history,
            setup_secs=self._setup_secs,
            checkpoint_secs=checkpoint_secs,
            parameter_count=count,
        )


def failed(error: BaseException) -> EpochResult:
    """The result of a trial that raised: OOM where memory ran out, else FAILED, with the end of the traceback."""
    out_of_memory = isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"
    tail = "".join(traceback.format_exception(error))[-ERROR_TAIL_CHARS:]
    return EpochResult(None, failure=Outcome.OOM if out_of_memory else Outcome.FAILED, error=tail)
