"""Writes every fact of a search into its tables at the moment it happens, without making anyone wait."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from toprung.results.tables.rows import epoch_row, proposal_row, trial_row
from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS
from toprung.results.tables.trial_details import TrialDetails
from toprung.search.driver.trial_state import ResumedState

if TYPE_CHECKING:
    from toprung.results.tables.writer import RunWriter
    from toprung.search.driver.checkpoint_retention import CheckpointRetention
    from toprung.search.driver.trial_state import ActiveTrial, TrialEnd
    from toprung.search.strategy.strategy import Decision, Strategy
    from toprung.trainables.trial.messages import TrialStart
    from toprung.trainables.trial.objectives import Objectives
    from toprung.trainables.trial.report import EpochReport


@dataclass(frozen=True)
class SharedFacts:
    """What the rows of all trials of a search share: objectives, images, and the resources of each trial."""

    objectives: Objectives
    data_fingerprint: str
    cpus: float
    gpus: float


class Recorder:
    """The observer of a search loop that writes rows, and keeps or deletes the checkpoint of each ended trial."""

    def __init__(
        self,
        writer: RunWriter,
        strategy: Strategy,
        retention: CheckpointRetention,
        shared: SharedFacts,
        resumed: ResumedState | None = None,
    ) -> None:
        resumed = resumed or ResumedState()
        self._writer, self._strategy, self._retention, self._shared = writer, strategy, retention, shared
        self._next_arrival_index = resumed.next_arrival_index
        self._started_at = dict(resumed.started_at)
        self._notes_recorded = len(strategy.notes())

    def proposed(self, start: TrialStart, reason: str) -> None:
        """Write the proposal before its trial begins to train."""
        now = datetime.now(UTC)
        self._started_at[start.trial_id] = now
        suggested = self._strategy.suggested(start.trial_id)
        fingerprint = self._shared.data_fingerprint
        row = proposal_row(start.trial_id, start.config, start.seed, reason, now, fingerprint, suggested)
        self._writer.append(PROPOSALS, row)

    def reported(self, report: EpochReport, decision: Decision) -> None:
        """Write one epoch, with what the strategy found out from it."""
        notes = self._strategy.notes()[self._notes_recorded :]
        self._notes_recorded += len(notes)
        row = epoch_row(report, self._next_arrival_index, str(decision), note="; ".join(notes) or None)
        self._writer.append(EPOCHS, row)
        self._next_arrival_index += 1

    def ended(self, trial: ActiveTrial, end: TrialEnd) -> None:
        """Write the trial's row, and keep or delete its checkpoint."""
        keeps_checkpoint = self._retention.keeps(trial, end)
        objectives = self._shared.objectives
        row = trial_row(
            trial.trial_id,
            trial.start.config,
            end.outcome,
            trial.reports,
            self._details(trial, end, keeps_checkpoint),
            objectives=objectives,
            reason=end.reason,
        )
        self._writer.append(TRIALS, row)
        if keeps_checkpoint:
            self._retention.keep(trial, row[f"best_{objectives.main.metric}"])
        else:
            self._retention.delete(trial)

    def _details(self, trial: ActiveTrial, end: TrialEnd, keeps_checkpoint: bool) -> TrialDetails:
        return TrialDetails(
            seed=trial.start.seed,
            highest_rung_epoch=self._strategy.rung_of(trial.trial_id),
            **vars(trial.resource_usage),
            **(vars(trial.execution) if trial.execution else {}),
            failed_allocation_bytes=trial.failed_allocation_bytes,
            worker_recycled=trial.worker.recycled,
            preemptions=trial.preemptions,
            wait_secs=trial.wait_secs,
            worker_node=trial.worker.node or None,
            worker_pid=trial.worker.pid or None,
            cpus=self._shared.cpus,
            gpus=self._shared.gpus,
            parameter_count=trial.parameter_count,
            data_fingerprint=self._shared.data_fingerprint,
            checkpoint=f"checkpoints/{trial.trial_id}.npz" if keeps_checkpoint else None,
            error=end.error or None,
            started_at=self._started_at.pop(trial.trial_id, None),
            ended_at=datetime.now(UTC),
            reports_before_end=self._next_arrival_index,
        )
