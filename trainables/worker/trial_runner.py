"""One trial in one process, without Ray: begin or resume it from its checkpoint, then train a few epochs at a time."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toprung.trainables.trial.failures import Failure, catch_failure, is_out_of_memory
from toprung.trainables.trial.messages import EpochResult, TrialStart
from toprung.trainables.trial.patience import patience_of, patience_stop_reason
from toprung.trainables.trial.report import CLEAN_TRAIN_ACCURACY, EpochReport, Outcome
from toprung.trainables.trial.resource_usage import IdleTimer, ResourceUsage, device_bytes, rss_bytes
from toprung.trainables.worker.checkpoints import BEST, NEWEST, Checkpoint, CheckpointStore
from toprung.trainables.worker.saved_state import (
    EXECUTION_PLAN,
    check_arrays,
    checked_history,
    plan_of,
    why_unusable,
)
from toprung.trainables.worker.worth_training import why_not_trained

if TYPE_CHECKING:
    from collections.abc import Callable

    from toprung.trainables.worker.interfaces import TrainerSource, TrialTrainer
    from toprung.trainables.worker.plan import Rules


# Into how many micro-batches a batch is cut after memory ran out once, and after it did so again.
MICRO_BATCHES_AFTER_OOM = (2, 8)
_log = logging.getLogger("toprung")


@dataclass(frozen=True)
class BestState:
    """The best state of a trial on storage: its score, its epoch (0 for none), whether it is also the newest."""

    score: float = -math.inf
    epoch: int = 0
    is_newest: bool = False


class TrialRunner:
    """The trial that a worker currently trains.

    A trial resumes from its newest checkpoint wherever it begins: after a worker or the driver was killed, or after a
    pause. It then first repeats the report of that checkpoint, so that a decision lost with the driver is made before
    another epoch is trained, and it is computed as before.

    When memory runs out, the trial is tried again from its checkpoint: the models of other trials are dropped and its
    batches cut into micro-batches, the second time into smaller ones.
    """

    def __init__(
        self, source: TrainerSource, store: CheckpointStore, rules: Rules, in_worker: bool = False
    ) -> None:
        """A run without a trial; `in_worker` is whether this process is a worker, which nobody interrupts."""
        self._source, self._store, self._rules, self._in_worker = source, store, rules, in_worker
        self._idle = IdleTimer()
        self._usage = ResourceUsage()
        self._trainer: TrialTrainer | None = None
        self._history: list[EpochReport] = []
        self._reported = 0
        self._repeat = False
        self._best = self._best_before_save = BestState()
        self._failed_allocation_bytes: int | None = None
        self._notes: list[str] = []
        self._model_measures: dict[str, float] = {}

    def begin(self, start: TrialStart) -> None:
        """Begin or resume a trial. A failure is reported by the first `step`, so that the worker survives it."""
        self._usage, self._counted_to = ResourceUsage(idle_secs=self._idle.stop()), time.perf_counter()
        self._start, self._failure, self._retries = start, Failure.none(), 0
        self._reported, self._failed_allocation_bytes, self._notes = 0, None, []
        self._model_measures = {}
        self._retry_or_fail(self._catch(self._resume))
        self._idle.start()

    def step(self) -> EpochResult:
        """Train up to the next decision of the driver, or repeat the newest report of a resumed trial."""
        self._usage += ResourceUsage(idle_secs=self._idle.stop())
        self._counted_to = time.perf_counter()
        while not self._failure and not self._repeat:
            failure = self._catch(self._train_to_decision)
            if not failure:
                break
            self._retry_or_fail(failure)
        self._repeat = False
        self._settle_earlier_trial()
        result = self._result()
        self._idle.start()
        return result

    def _catch(self, action: Callable[[], None]) -> Failure:
        return catch_failure(action, catches_interrupts=self._in_worker)

    def end(self) -> None:
        """Wait until the newest checkpoint is on storage or has failed to get there, which is logged."""
        self._store.settle()
        for line in self._store.take_unsaved():
            _log.warning("%s", line)

    @property
    def identity(self) -> str:
        """A digest of what the trial's state belongs to: configuration, seed, data, and the user's code."""
        rules = self._rules
        owner = [dict(self._start.config), self._start.seed, rules.data_fingerprint]
        owner += [rules.code_fingerprint] if rules.code_fingerprint else []
        return hashlib.sha256(json.dumps(owner, sort_keys=True, default=str).encode()).hexdigest()

    @property
    def is_resumed(self) -> bool:
        """Whether the next step repeats the report of a saved state."""
        return self._repeat

    def _resume(self) -> None:
        """Go on from the newest state, else from the best one, else start over; says why not from a later one."""
        for file, name in ((NEWEST, "newest"), (BEST, "best")):
            try:
                if self._go_on_from(self._store.read(self._start.trial_id, file, self.identity)):
                    return
            except Exception as error:  # whatever a damaged state makes the trainer raise
                if is_out_of_memory(error):
                    raise
                self._notes.append(f"its {name} saved state is not used: it {why_unusable(error)}")
        self._set_up(None, [])

    def _go_on_from(self, checkpoint: Checkpoint | None) -> bool:
        """Whether the trial goes on from the state, if there is one. Raises what makes it unusable."""
        if checkpoint is not None:
            self._set_up(checkpoint, checked_history(checkpoint, self._rules.max_epochs))
        return checkpoint is not None

    def _set_up(self, checkpoint: Checkpoint | None, history: list[EpochReport]) -> None:
        self._trainer, self._history, self._repeat, self._best = None, [], False, BestState()
        plan = plan_of(checkpoint) if checkpoint else None
        min_micro_batches = MICRO_BATCHES_AFTER_OOM[self._retries - 1] if self._retries else 1
        trainer = self._source.trainer(self._start.config, plan, min_micro_batches)
        trainer.reset(self._start.config, self._start.seed)
        if checkpoint is not None:
            self._restore(checkpoint, history, trainer)
        self._best_before_save = self._best
        self._model_measures = self._measured(trainer)
        self._trainer = trainer
        if checkpoint is None and not self._reported:
            reason = why_not_trained(trainer, self._start, self._rules, self._model_measures)
            self._failure = (
                Failure(Outcome.STOPPED, reason=f"not trained: {reason}") if reason else self._failure
            )
        self._count_setup(trainer)
        self._saved_at = self._counted_to

    def _count_setup(self, trainer: TrialTrainer | None) -> None:
        """Count the seconds since the last that were counted: by the trainer's own account, the rest as setup."""
        apart = ResourceUsage(worker_startup_secs=self._source.take_startup_secs())
        if trainer is not None:
            apart += trainer.take_usage()
        before, self._counted_to = self._counted_to, time.perf_counter()
        setup_secs = self._counted_to - before - apart.build_secs - apart.compile_secs
        setup_secs = max(0.0, setup_secs - apart.worker_startup_secs)
        self._usage += apart + ResourceUsage(trial_setup_secs=setup_secs)

    def _restore(self, checkpoint: Checkpoint, history: list[EpochReport], trainer: TrialTrainer) -> None:
        check_arrays(checkpoint.arrays, trainer.state())
        trainer.load_state(checkpoint.arrays)
        self._history = history
        # Only an epoch whose state was saved is the best state: otherwise no later state could take its place.
        saved = [report for report in self._history if report.epoch == checkpoint.best_epoch] or self._history
        best = max(saved, key=self._rules.score)
        # A newest state that could not be read must not be set aside in the place of the best one.
        is_newest = best.epoch == checkpoint.epoch and not checkpoint.was_aside
        self._best = BestState(self._rules.score(best), best.epoch, is_newest)
        self._repeat = True

    def _retry_or_fail(self, failure: Failure) -> None:
        trained = self._history
        while failure:
            self._failed_allocation_bytes = failure.failed_allocation_bytes or self._failed_allocation_bytes
            if failure.outcome is not Outcome.OOM or self._retries == len(MICRO_BATCHES_AFTER_OOM):
                self._failure = failure
                return
            self._retries += 1
            self._count_setup(self._trainer)
            self._trainer = None
            self._source.make_room()
            failure = self._catch(self._resume)
            self._reported = min(self._reported, len(self._history))
        # A trial's own seconds are those of its newest report, which leave out what is trained again.
        lost_secs = sum(report.epoch_secs for report in trained[len(self._history) :])
        self._usage += ResourceUsage(trial_setup_secs=lost_secs)

    def _train_to_decision(self) -> None:
        """Train to the next epoch after which the driver decides, for `report_secs` but at least one epoch."""
        trainer, began = self._trainer, time.perf_counter()
        if trainer is None:
            raise RuntimeError("step before begin")
        while True:
            report = self._train_epoch(trainer)
            self._save_if_due(trainer, report)
            is_over = time.perf_counter() - began + report.epoch_secs > self._rules.report_secs
            if (
                is_over
                or not report.is_finite
                or self._rules.is_rung(report.epoch)
                or self._out_of_patience()
            ):
                return

    def _out_of_patience(self) -> bool:
        """Whether the driver will end the trial here, so that no later epoch may become its best state."""
        first_rung = min(self._rules.checkpoint_epochs, default=1)
        main = self._rules.objectives.main
        return patience_stop_reason(self._history, self._start.config, main, first_rung) is not None

    def _train_epoch(self, trainer: TrialTrainer) -> EpochReport:
        before = self._history[-1] if self._history else EpochReport(self._start.trial_id, 0)
        if before.epoch >= self._rules.max_epochs:
            return before
        began = time.perf_counter()
        metrics = trainer.train_epoch(before.epoch + 1)
        if self._rules.is_rung(before.epoch + 1) and all(map(math.isfinite, metrics.values())):
            metrics[CLEAN_TRAIN_ACCURACY] = trainer.clean_train_accuracy()
        self._counted_to = time.perf_counter()
        # A phase may have been compiled, which is not training.
        apart = trainer.take_usage()
        self._usage, secs = self._usage + apart, max(0.0, self._counted_to - began - apart.compile_secs)
        metrics |= self._model_measures
        report = EpochReport(
            self._start.trial_id, before.epoch + 1, metrics, secs, before.elapsed_secs + secs
        )
        self._history.append(report)
        return report

    def _measured(self, trainer: TrialTrainer) -> dict[str, float]:
        """What is optimised or bounded of the model itself: taken once a trial, repeated at every epoch."""
        known = self._history[-1].metrics if self._history else {}
        measures = {
            "parameter_count": lambda: float(trainer.parameter_count),
            "latency_ms": trainer.latency_ms,
        }
        names = self._rules.objectives.of_model
        return {name: known[name] if name in known else measures[name]() for name in names}

    def _save_if_due(self, trainer: TrialTrainer, report: EpochReport) -> None:
        """Save at rungs, every `checkpoint_secs`, and each best state that may be the last; count the waiting."""
        began, is_rung = time.perf_counter(), self._rules.is_rung(report.epoch)
        score = self._rules.score(report)
        may_be_last = patience_of(self._start.config) > 0 and score > self._best.score
        is_due = is_rung or may_be_last or began - self._saved_at >= self._rules.checkpoint_secs
        if not report.is_finite or not is_due:
            return
        if not self._store.settle():
            self._best = self._best_before_save
        is_best = score > self._best.score or self._best.epoch == 0
        best = BestState(max(score, self._best.score), report.epoch if is_best else self._best.epoch, is_best)
        checkpoint = self._checkpoint(trainer, report.epoch, best.epoch)
        self._store.save(checkpoint, self._best.is_newest and not is_best, is_best)
        self._best_before_save, self._best = self._best, best
        if is_rung and self._rules.durable_rungs and not self._store.settle():
            self._best = self._best_before_save
        self._saved_at = time.perf_counter()
        self._usage += ResourceUsage(checkpoint_secs=self._saved_at - began)
        self._counted_to = self._saved_at

    def _checkpoint(self, trainer: TrialTrainer, epoch: int, best_epoch: int) -> Checkpoint:
        history = tuple(report._asdict() for report in self._history)
        arrays = {**trainer.state(), EXECUTION_PLAN: np.asarray(trainer.execution_plan.to_json())}
        return Checkpoint(self._start.trial_id, epoch, self.identity, history, arrays, best_epoch)

    def _settle_earlier_trial(self) -> None:
        """Wait for the last state of the trial before, which the driver may delete once it hears of this trial."""
        began = time.perf_counter()
        self._store.settle_others(self._start.trial_id)
        self._usage += ResourceUsage(checkpoint_secs=time.perf_counter() - began)

    def _result(self) -> EpochResult:
        news, self._reported = self._history[self._reported :], len(self._history)
        if not news and not self._failure:
            news = self._history[-1:]
        parameter_count, execution = 0, None
        if self._trainer is not None:
            self._usage += self._trainer.take_usage()
            parameter_count, execution = self._trainer.parameter_count, self._trainer.execution_record
        usage = self._usage + ResourceUsage(rss_bytes=rss_bytes(), device_bytes=device_bytes())
        self._usage = ResourceUsage()
        notes = tuple(dict.fromkeys([*self._notes, *self._store.take_unsaved()]))
        self._notes = []
        return EpochResult(
            news[-1] if news else None,
            tuple(news[:-1]),
            self._failure.outcome,
            self._failure.error,
            self._failed_allocation_bytes,
            usage,
            parameter_count,
            execution,
            notes,
            self._failure.reason,
            dict(self._model_measures),
        )
