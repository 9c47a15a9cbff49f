"""One trial in one process, without Ray: begin or go on from its checkpoint, then an epoch or a few at a time."""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toprung.trainables.trial.execution import ExecutionPlan
from toprung.trainables.trial.failures import Failure, catch_failure
from toprung.trainables.trial.messages import EpochResult, TrialStart
from toprung.trainables.trial.patience import patience_of, patience_stop_reason
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.trial.resource_usage import IdleTimer, ResourceUsage, device_bytes, rss_bytes
from toprung.trainables.worker.checkpoints import Checkpoint, CheckpointStore

if TYPE_CHECKING:
    from toprung.trainables.worker.interfaces import Trainer, TrainerSource


# In how many parts a batch is computed when memory ran out once, and when it did so again.
SMALLER_PARTS = (2, 8)
COMPUTATION = "computation"


@dataclass(frozen=True)
class Rules:
    """How the trials of a search are run.

    The state is saved after `checkpoint_epochs`, the rungs, and every `checkpoint_secs`; with `durable_rungs` a
    rung is told only once its state is on storage. Between rungs nothing is decided, so that short epochs are
    told together, for as long as `report_secs`.
    """

    max_epochs: int
    checkpoint_epochs: frozenset[int] = frozenset()
    checkpoint_secs: float = 30.0
    report_secs: float = 0.0
    durable_rungs: bool = False
    metric: str = "val_accuracy"
    mode: str = "max"
    data_fingerprint: str = ""
    secondary_objectives: tuple[str, ...] = ()
    """Objectives beside the metric: validation metrics, and measures of the model taken at a trial's first epoch."""

    def at_rung(self, epoch: int) -> bool:
        """Whether the driver decides after this epoch."""
        return epoch in self.checkpoint_epochs or epoch >= self.max_epochs

    def worth(self, report: EpochReport) -> float:
        """The report's value of `metric`, larger for better; minus infinity when it has none."""
        value = report.metrics.get(self.metric, math.nan)
        worth = value if self.mode == "max" else -value
        return -math.inf if math.isnan(worth) else worth


class TrialRun:
    """The trial a worker holds at the moment.

    A trial goes on from its newest checkpoint wherever it begins: after a worker died, after the driver was
    killed, after a pause. It then first repeats the report of that checkpoint, so that a decision lost with the
    driver is taken before another epoch is trained, and computes as it did. When memory runs out it is tried again,
    from there, with the models of other trials thrown out and its batches cut into parts; at the second time into
    smaller ones.
    """

    def __init__(self, source: TrainerSource, store: CheckpointStore, rules: Rules) -> None:
        self._source, self._store, self._rules = source, store, rules
        self._idle = IdleTimer()
        self._costs = ResourceUsage()
        self._trainer: Trainer | None = None
        self._history: list[EpochReport] = []
        self._told = 0
        self._repeat = False
        self._best, self._best_epoch, self._newest_is_best = self._best_before = -math.inf, 0, False
        self._wanted_bytes: int | None = None

    def begin(self, start: TrialStart) -> None:
        """Take up a trial; whatever goes wrong is told by the first `step`, so that the worker lives on."""
        self._costs, self._counted_to = ResourceUsage(idle_secs=self._idle.work()), time.perf_counter()
        self._start, self._failed, self._retries = start, Failure.none(), 0
        self._told, self._wanted_bytes = 0, None
        self._try_again_or_fail(catch_failure(self._take_up))
        self._idle.rest()

    def step(self) -> EpochResult:
        """Train until there is something to decide, or repeat the newest report of a trial taken up again."""
        self._costs += ResourceUsage(idle_secs=self._idle.work())
        self._counted_to = time.perf_counter()
        while not self._failed and not self._repeat:
            failure = catch_failure(self._train_on)
            if not failure:
                break
            self._try_again_or_fail(failure)
        self._repeat = False
        self._settle_earlier()
        result = self._result()
        self._idle.rest()
        return result

    def end(self) -> None:
        """Wait until the newest checkpoint is on storage, or told not to be."""
        self._store.settle()

    @property
    def identity(self) -> str:
        """Digest of what the trial's state belongs to: configuration, seed and data."""
        parts = [dict(self._start.config), self._start.seed, self._rules.data_fingerprint]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()

    def _take_up(self) -> None:
        self._trainer, self._history, self._repeat = None, [], False
        self._best, self._best_epoch, self._newest_is_best = -math.inf, 0, False
        checkpoint = self._store.load(self._start.trial_id, self.identity)
        history = history_of(checkpoint) if checkpoint else []
        computation = computation_of(checkpoint) if checkpoint else None
        parts = SMALLER_PARTS[self._retries - 1] if self._retries else 1
        trainer = self._source.trainer(self._start.config, computation, parts)
        trainer.reset(self._start.config, self._start.seed)
        if checkpoint is not None and history:
            self._go_on_from(checkpoint, history, trainer)
        self._best_before = self._best, self._best_epoch, self._newest_is_best
        self._trainer = trainer
        self._count_setup(trainer)
        self._saved_at = self._counted_to

    def _count_setup(self, trainer: Trainer | None) -> None:
        """The seconds since the last that were counted: what the trainer tells of them apart, the rest as setup."""
        apart = ResourceUsage(worker_startup_secs=self._source.take_startup_secs())
        if trainer is not None:
            apart += trainer.take_costs()
        before, self._counted_to = self._counted_to, time.perf_counter()
        spent = self._counted_to - before - apart.build_secs - apart.compile_secs
        self._costs += apart + ResourceUsage(trial_setup_secs=max(0.0, spent - apart.worker_startup_secs))

    def _go_on_from(self, checkpoint: Checkpoint, history: list[EpochReport], trainer: Trainer) -> None:
        trainer.load_state(checkpoint.arrays)
        self._history = history
        # Not the best of all epochs: one that was not saved must not keep a later one from being the best state.
        saved = [report for report in self._history if report.epoch == checkpoint.best_epoch] or self._history
        best = max(reversed(saved), key=self._rules.worth)
        self._best, self._best_epoch = self._rules.worth(best), best.epoch
        # A newest state that could not be read must not be put aside in the place of the best one.
        self._newest_is_best = best.epoch == checkpoint.epoch and not checkpoint.was_aside
        self._repeat = True

    def _try_again_or_fail(self, failure: Failure) -> None:
        trained = self._history
        while failure:
            self._wanted_bytes = failure.failed_allocation_bytes or self._wanted_bytes
            if failure.outcome is not Outcome.OOM or self._retries == len(SMALLER_PARTS):
                self._failed = failure
                return
            self._retries += 1
            self._count_setup(self._trainer)
            self._trainer = None
            self._source.make_room()
            failure = catch_failure(self._take_up)
            self._told = min(self._told, len(self._history))
        # A trial's own seconds are those of its newest report, which leave out what is trained again.
        self._costs += ResourceUsage(
            trial_setup_secs=sum(report.epoch_secs for report in trained[len(self._history) :])
        )

    def _train_on(self) -> None:
        """Train epochs up to the next one that is decided on, as many as fit into `report_secs`, at least one."""
        trainer, began = self._trainer, time.perf_counter()
        if trainer is None:
            raise RuntimeError("step before begin")
        while True:
            report = self._train(trainer)
            self._save_if_due(trainer, report)
            over = time.perf_counter() - began + report.epoch_secs > self._rules.report_secs
            if over or not report.is_finite or self._rules.at_rung(report.epoch) or self._lost_patience():
                return

    def _lost_patience(self) -> bool:
        """Whether the driver will end the trial here, so that no later epoch may become its best state."""
        rules, first_rung = self._rules, min(self._rules.checkpoint_epochs, default=1)
        spent = patience_stop_reason(self._history, self._start.config, rules.metric, rules.mode, first_rung)
        return spent is not None

    def _train(self, trainer: Trainer) -> EpochReport:
        before = self._history[-1] if self._history else EpochReport(self._start.trial_id, 0)
        if before.epoch >= self._rules.max_epochs:
            return before
        began = time.perf_counter()
        metrics = trainer.train_epoch(before.epoch + 1)
        self._counted_to = time.perf_counter()
        # A phase may have been compiled, which is not training.
        apart = trainer.take_costs()
        self._costs, secs = self._costs + apart, max(0.0, self._counted_to - began - apart.compile_secs)
        metrics |= self._measures(trainer, before)
        report = EpochReport(
            self._start.trial_id, before.epoch + 1, metrics, secs, before.elapsed_secs + secs
        )
        self._history.append(report)
        return report

    def _measures(self, trainer: Trainer, before: EpochReport) -> dict[str, float]:
        """What is measured of the model and not of its predictions: once a trial, repeated at every epoch."""
        taken = {"parameter_count": lambda: float(trainer.parameter_count), "latency_ms": trainer.latency_ms}
        return {
            name: before.metrics[name] if name in before.metrics else taken[name]()
            for name in self._rules.secondary_objectives
            if name in taken
        }

    def _save_if_due(self, trainer: Trainer, report: EpochReport) -> None:
        """Save at rungs, every `checkpoint_secs`, and each new best where it may be the last; counts the seconds that
        the training waited for it."""
        began, at_rung = time.perf_counter(), self._rules.at_rung(report.epoch)
        may_be_last = patience_of(self._start.config) > 0 and self._rules.worth(report) > self._best
        due = at_rung or may_be_last or began - self._saved_at >= self._rules.checkpoint_secs
        if not report.is_finite or not due:
            return
        if not self._store.settle():
            self._best, self._best_epoch, self._newest_is_best = self._best_before
        history = tuple(report._asdict() for report in self._history)
        arrays = {**trainer.state(), COMPUTATION: np.asarray(trainer.computation.to_json())}
        worth = self._rules.worth(report)
        is_best = worth >= self._best
        best_epoch = report.epoch if is_best else self._best_epoch
        checkpoint = Checkpoint(
            self._start.trial_id, report.epoch, self.identity, history, arrays, best_epoch
        )
        self._store.save(checkpoint, self._newest_is_best and not is_best, is_best)
        self._best_before = self._best, self._best_epoch, self._newest_is_best
        self._best, self._best_epoch, self._newest_is_best = max(worth, self._best), best_epoch, is_best
        if at_rung and self._rules.durable_rungs:
            self._store.wait()
        self._saved_at = time.perf_counter()
        self._costs += ResourceUsage(checkpoint_secs=self._saved_at - began)
        self._counted_to = self._saved_at

    def _settle_earlier(self) -> None:
        """Before the driver hears of this trial the last state of the one before is there: it may then be deleted."""
        began = time.perf_counter()
        self._store.settle_others(self._start.trial_id)
        self._costs += ResourceUsage(checkpoint_secs=time.perf_counter() - began)

    def _result(self) -> EpochResult:
        news, self._told = self._history[self._told :], len(self._history)
        if not news and not self._failed:
            news = self._history[-1:]
        parameters, computed = 0, None
        if self._trainer is not None:
            self._costs += self._trainer.take_costs()
            parameters, computed = self._trainer.parameter_count, self._trainer.computed
        costs = self._costs + ResourceUsage(rss_bytes=rss_bytes(), device_bytes=device_bytes())
        self._costs = ResourceUsage()
        return EpochResult(
            news[-1] if news else None,
            tuple(news[:-1]),
            self._failed.outcome,
            self._failed.error,
            self._wanted_bytes,
            costs,
            parameters,
            computed,
        )


def history_of(checkpoint: Checkpoint) -> list[EpochReport]:
    """The trial's epochs up to here; none where the checkpoint does not say them, so that it cannot be gone on with."""
    try:
        return [EpochReport(**row) for row in checkpoint.history]
    except TypeError:
        return []


def computation_of(checkpoint: Checkpoint) -> ExecutionPlan | None:
    """How the trial was computed up to here; None where the checkpoint does not say."""
    try:
        return ExecutionPlan.from_json(str(checkpoint.arrays[COMPUTATION]))
    except (KeyError, ValueError, TypeError):
        return None
