"""Writes every fact of a search into its tables, without waiting for the disk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING

from toprung.results.tables.rows import epoch_row, marked_inactive, proposal_row, trial_row
from toprung.results.tables.schema import EPOCHS, PREEMPTIONS, PROPOSALS, RUNGS, TRIALS, WAIT_SECS
from toprung.results.tables.trial_details import TrialDetails
from toprung.search.driver.rung_rows import in_units, rung_row
from toprung.search.loop.trial_state import ResumedState
from toprung.trainables.trial.bounds import VIOLATION
from toprung.trainables.trial.trial_id import trial_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from toprung.results.tables.rows import Row
    from toprung.results.tables.writer import RunWriter
    from toprung.search.driver.checkpoint_retention import CheckpointRetention
    from toprung.search.loop.trial_state import ActiveTrial, RungKey, TrialEnd
    from toprung.search.strategy.strategy import Decision, RungEvent, Strategy
    from toprung.trainables.trial.messages import TrialStart
    from toprung.trainables.trial.objectives import Objectives
    from toprung.trainables.trial.report import EpochReport


@dataclass(frozen=True)
class SharedFacts:
    """What the rows of all trials of a search share: objectives, images, the resources of each trial, and its code.

    `parameters` are the names that the space suggests in any trial; `code_fingerprint` names the user's file of the
    model, empty without one; `versions` are those of the packages, as JSON.
    """

    objectives: Objectives
    data_fingerprint: str
    cpus: float
    gpus: float
    parameters: frozenset[str] = frozenset()
    deterministic: bool = False
    code_fingerprint: str = ""
    versions: str | None = None


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
        self._workers: dict[tuple[str, int], int] = {}
        self._first_worker_index = resumed.workers
        self._events_recorded = 0
        self._last_epochs = {trial.trial_id: trial.last_epoch for trial in resumed.unfinished}
        self._next_event_index = len(resumed.recorded_rungs)
        # Those that an earlier driver decided and did not live to write.
        self._record_rungs(strategy.rung_events(), resumed.recorded_rungs)

    def proposed(self, start: TrialStart, reason: str) -> None:
        """Write the proposal."""
        now = datetime.now(UTC)
        self._started_at[start.trial_id] = now
        suggested = self._strategy.suggested(start.trial_id)
        fingerprint = self._shared.data_fingerprint
        config = self._columns_of(start)
        row = proposal_row(start.trial_id, config, start.seed, reason, now, fingerprint, suggested)
        self._writer.append(PROPOSALS, {**row, **self._origin(start.trial_id)})

    def reported(self, trial: ActiveTrial, report: EpochReport, decision: Decision) -> None:
        """Write one epoch, with what the strategy found out from it and how often the trial has lost its worker."""
        notes = self._strategy.notes()[self._notes_recorded :]
        self._notes_recorded += len(notes)
        bounds, note = self._shared.objectives.bounds, "; ".join(notes) or None
        row = epoch_row(report, self._next_arrival_index, str(decision), note=note, bounds=bounds)
        interruptions = {PREEMPTIONS: trial.preemptions, WAIT_SECS: trial.wait_secs}
        self._writer.append(EPOCHS, {**row, **interruptions})
        self._next_arrival_index += 1
        self._last_epochs[report.trial_id] = report.epoch
        self._record_rungs(takewhile(self._has_epoch, self._strategy.rung_events(self._events_recorded)))

    def ended(self, trial: ActiveTrial, end: TrialEnd) -> None:
        """Write the trial's row, and keep or delete its checkpoint."""
        keeps_checkpoint = self._retention.keeps(trial, end)
        objectives = self._shared.objectives
        row = trial_row(
            trial.trial_id,
            self._columns_of(trial.start),
            end.outcome,
            trial.reports,
            self._details(trial, end, keeps_checkpoint),
            objectives=objectives,
            reason=end.reason,
        )
        self._writer.append(TRIALS, row)
        if keeps_checkpoint:
            self._retention.keep(trial, None if row[VIOLATION] else row[f"best_{objectives.main.metric}"])
        else:
            self._retention.delete(trial)

    def catch_up(self) -> None:
        """Nothing: each fact is written when it is told."""

    def _has_epoch(self, event: RungEvent) -> bool:
        """Whether the report that was decided on has been recorded: another one may have come in since."""
        return event.epoch <= self._last_epochs.get(trial_id(event.number), 0)

    def _record_rungs(self, events: Iterable[RungEvent], recorded: frozenset[RungKey] = frozenset()) -> None:
        for event in events:
            self._events_recorded += 1
            row = rung_row(event, self._next_event_index, self._shared.objectives)
            if (row["trial_id"], row["rung_epoch"], row["epoch"], row["decision"]) not in recorded:
                self._writer.append(RUNGS, row)
                self._next_event_index += 1

    def _columns_of(self, start: TrialStart) -> Mapping[str, object]:
        """The configuration, the values of parameters that other trials search and this one does not marked."""
        if active := self._strategy.parameters_of(start.trial_id):
            return marked_inactive(start.config, self._shared.parameters - active)
        return start.config

    def _origin(self, trial_id: str) -> Row:
        origin, objectives = self._strategy.state(trial_id).origin, self._shared.objectives
        mean = origin.mean
        return {
            "proposal_kind": str(origin.kind),
            "model_rung_epoch": origin.rung_epoch,
            "predicted_mean": None if mean is None else objectives.main.value(mean),
            "predicted_deviation": origin.deviation,
        }

    def _last_rung(self, trial_id: str) -> Row:
        decided = self._strategy.state(trial_id).last_decision
        if decided is None:
            return {}
        objectives = self._shared.objectives
        return {
            "rung_decision": str(decided.decision),
            "rung_value": in_units(decided.score, objectives),
            "rung_threshold": in_units(decided.cutoff, objectives),
        }

    def _worker_index(self, trial: ActiveTrial) -> int | None:
        """The number of the worker process, counted over all drivers of the run; None for a trial without a worker."""
        if not trial.worker.pid:
            return None
        process = (trial.worker.node, trial.worker.pid)
        return self._workers.setdefault(process, self._first_worker_index + len(self._workers))

    def _details(self, trial: ActiveTrial, end: TrialEnd, keeps_checkpoint: bool) -> TrialDetails:
        return TrialDetails(
            seed=trial.start.seed,
            highest_rung_epoch=self._strategy.rung_of(trial.trial_id),
            **self._last_rung(trial.trial_id),
            **vars(trial.resource_usage),
            **(vars(trial.execution) if trial.execution else {}),
            failed_allocation_bytes=trial.failed_allocation_bytes,
            worker_recycled=trial.worker.recycled,
            preemptions=trial.preemptions,
            wait_secs=trial.wait_secs,
            worker_index=self._worker_index(trial),
            worker_node=trial.worker.node or None,
            worker_pid=trial.worker.pid or None,
            cpus=self._shared.cpus,
            gpus=self._shared.gpus,
            parameter_count=trial.parameter_count,
            latency_ms=trial.measured_on_model.get("latency_ms"),
            data_fingerprint=self._shared.data_fingerprint,
            deterministic=self._shared.deterministic,
            code_fingerprint=self._shared.code_fingerprint or None,
            versions=self._shared.versions,
            checkpoint=f"checkpoints/{trial.trial_id}.npz" if keeps_checkpoint else None,
            error=end.error or None,
            started_at=self._started_at.pop(trial.trial_id, None),
            ended_at=datetime.now(UTC),
            reports_before_end=self._next_arrival_index,
        )
