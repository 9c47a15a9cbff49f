"""Every fact of a search into its tables, at the moment it happens and off everyone's path."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from toprung.results.tables.rows import TrialFacts, epoch_row, proposal_row, trial_row
from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS
from toprung.trainables.trial.patience import patience_stop_reason
from toprung.trainables.trial.report import EpochReport, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.results.tables.writer import RunWriter
    from toprung.search.driver.trial_state import ActiveTrial
    from toprung.search.strategy.strategy import Decision, Strategy
    from toprung.trainables.trial.messages import TrialStart, Worker
    from toprung.trainables.worker.checkpoints import CheckpointStore


class Recorder:
    """The observer of a search loop that writes rows.

    `sequence` is the number of the next row of `epochs`; `started_at` says when the trials still open from an
    earlier driver were proposed, `completed` which trials it completed, in order, with their best values (None: not
    finite). `checkpoint_bytes` is what the states of trials may take on storage (None: no limit); with `keep_stopped`
    stopped trials keep theirs too, and count as completed ones do. `secondary_objectives` are the objectives
    beside the metric.
    """

    def __init__(
        self,
        writer: RunWriter,
        strategy: Strategy,
        checkpoints: CheckpointStore,
        *,
        metric: str,
        mode: str,
        fingerprint: str,
        cpus: float,
        gpus: float,
        sequence: int = 0,
        started_at: dict[str, datetime] | None = None,
        checkpoint_bytes: int | None = None,
        keep_stopped: bool = False,
        completed: Mapping[str, float | None] | None = None,
        secondary_objectives: Sequence[str] = (),
    ) -> None:
        self._writer, self._strategy = writer, strategy
        self._checkpoints = checkpoints
        self._metric, self._mode, self._fingerprint = metric, mode, fingerprint
        self._cpus, self._gpus, self._sequence = cpus, gpus, sequence
        self._started_at = dict(started_at or {})
        self._traded, self._keep_stopped = tuple(secondary_objectives), keep_stopped
        self._notes_told = len(strategy.notes())
        self._checkpoint_bytes, self._completed = checkpoint_bytes, dict(completed or {})
        self._last_discarded: dict[tuple[str, int], str] = {}

    def proposed(self, start: TrialStart, why: str) -> None:
        """Write the proposal before its trial begins to train."""
        now = datetime.now(UTC)
        self._started_at[start.trial_id] = now
        suggested = self._strategy.suggested(start.trial_id)
        row = proposal_row(start.trial_id, start.config, start.seed, why, now, self._fingerprint, suggested)
        self._writer.append(PROPOSALS, row)

    def reported(self, report: EpochReport, decision: Decision) -> None:
        """Write one epoch, with what the strategy found out from it."""
        notes = self._strategy.notes()[self._notes_told :]
        self._notes_told += len(notes)
        row = epoch_row(report, self._sequence, str(decision), note="; ".join(notes) or None)
        self._writer.append(EPOCHS, row)
        self._sequence += 1

    def ended(self, trial: ActiveTrial, outcome: Outcome, reason: str, error: str) -> None:
        """Write the trial's row; it keeps its state if completed or out of patience, or if the stopped keep theirs."""
        trial_id = trial.start.trial_id
        config = trial.start.config
        first_rung = self._strategy.rung_epochs[0]
        lost = patience_stop_reason(trial.reports, config, self._metric, self._mode, first_rung)
        spent = outcome is Outcome.STOPPED and lost
        asked = outcome is Outcome.STOPPED and self._keep_stopped and bool(trial.reports)
        keeps = outcome is Outcome.COMPLETED or bool(spent) or asked
        facts = TrialFacts(
            seed=trial.start.seed,
            rung_epochs=self._strategy.rung_of(trial_id),
            **vars(trial.costs),
            **(vars(trial.computed) if trial.computed else {}),
            failed_allocation_bytes=trial.failed_allocation_bytes,
            worker_recycled=trial.worker.outgrown,
            worker_node=trial.worker.node or None,
            worker_pid=trial.worker.pid or None,
            cpus=self._cpus,
            gpus=self._gpus,
            parameter_count=trial.parameter_count,
            data_fingerprint=self._fingerprint,
            checkpoint=f"checkpoints/{trial_id}.npz" if keeps else None,
            error=error or None,
            started_at=self._started_at.pop(trial_id, None),
            ended_at=datetime.now(UTC),
        )
        row = trial_row(
            trial_id,
            config,
            outcome,
            trial.reports,
            facts,
            metric=self._metric,
            mode=self._mode,
            reason=reason,
            secondary_objectives=self._traded,
        )
        self._writer.append(TRIALS, row)
        self._discard_again(trial.worker)
        if keeps:
            self._keep_within_quota(trial_id, row[f"best_{self._metric}"])
        else:
            self._checkpoints.discard(trial_id)
            self._last_discarded[trial.worker.node, trial.worker.pid] = trial_id

    def _discard_again(self, worker: Worker) -> None:
        """Delete once more what the worker's trial before this one left.

        A worker reports a rung while it writes its state, so that the file may come after it was deleted; it settles
        that write before it tells of its next trial.
        """
        earlier = self._last_discarded.pop((worker.node, worker.pid), None)
        if earlier is not None:
            self._checkpoints.discard(earlier)

    def _keep_within_quota(self, trial_id: str, best: float | None) -> None:
        """Make room for a completed trial's state at the cost of those that completed before it, but never the best.

        What discarded trials may have left goes first.
        """
        if self._checkpoint_bytes is not None:
            best_known = self._best_completed()
            may_go = [name for name in self._completed if name != best_known]
            self._checkpoints.keep_within(self._checkpoint_bytes, [*self._last_discarded.values(), *may_go])
        self._completed[trial_id] = best

    def _best_completed(self) -> str | None:
        sign = -1.0 if self._mode == "max" else 1.0
        known = {name: sign * best for name, best in self._completed.items() if best is not None}
        return min(known, key=lambda name: known[name], default=None)
