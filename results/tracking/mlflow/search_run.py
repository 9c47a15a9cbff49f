"""The search's own run in MLflow, the parent of its trials': its job, its space, its best value, how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toprung.results.tracking.mlflow.client import parent_of
from toprung.results.tracking.mlflow.entries import millis, name_of
from toprung.results.tracking.trial_entries import PARAM_CHARS, TAG_CHARS, text_of

if TYPE_CHECKING:
    from toprung.results.tracking.search_end import SearchEnd
    from toprung.results.tracking.search_history import SearchFacts
    from toprung.results.tracking.tracking_settings import Tracking

JOB_TAG = "toprung.job"
BEST_TRIAL_TAG = "toprung.best_trial"
END_TAG = "toprung.ended_because"
BATCH_PARAMS = 100  # MLflow takes no more at once


class SearchRun:
    """Brings the search's own run up to date; what MLflow has already is not sent again."""

    def __init__(self, client: Any, tracking: Tracking, experiment_id: str, facts: SearchFacts) -> None:
        self._client, self._search = client, tracking.search
        self.run_id = parent_of(client, tracking, experiment_id, millis(facts.started_at))
        self._run = client.get_run(self.run_id)
        self._described: SearchFacts | None = None

    def begin(self) -> None:
        """A driver works: the run is not over, whatever an earlier driver left."""
        if self._run.info.status != "RUNNING":
            self._client.update_run(self.run_id, status="RUNNING")
            self._run = self._client.get_run(self.run_id)

    def describe(self, facts: SearchFacts) -> bool:
        """Write the job, the space and the best value so far; returns whether anything was new."""
        if self._search is None or facts == self._described:
            return False
        from mlflow.entities import Metric, Param, RunTag

        data, best = self._run.data, facts.best
        settings = {
            name_of(name): text_of(value, PARAM_CHARS) for name, value in self._search.settings.items()
        }
        params = [Param(name, text) for name, text in settings.items() if name not in data.params]
        texts = {JOB_TAG: text_of(self._search.job, TAG_CHARS)}
        numbers: dict[str, float] = {f"trials_{outcome.lower()}": n for outcome, n in facts.outcomes.items()}
        if best is not None:
            texts[BEST_TRIAL_TAG] = best.trial_id
            numbers |= {f"best_{self._search.metric}": best.value, "best_epoch": float(best.epoch)}
        at = millis(facts.last_at) or 0
        tags = [RunTag(name, text) for name, text in texts.items() if data.tags.get(name) != text]
        # At the number of epochs trained so far, so that the newest value is the one that MLflow shows.
        metrics = [
            Metric(name_of(name), float(value), at, facts.epochs)
            for name, value in numbers.items()
            if data.metrics.get(name_of(name)) != value
        ]
        for first in range(0, len(params), BATCH_PARAMS):
            self._client.log_batch(self.run_id, params=params[first : first + BATCH_PARAMS])
        if metrics or tags:
            self._client.log_batch(self.run_id, metrics=metrics, tags=tags)
        self._described = facts
        if not (params or metrics or tags):
            return False
        self._run = self._client.get_run(self.run_id)
        return True

    def end(self, end: SearchEnd) -> bool:
        """Close the run with the time at which the search ended; returns whether MLflow had it otherwise."""
        info, ended_millis = self._run.info, millis(end.ended_at)
        reason = text_of(end.reason, TAG_CHARS)
        has_reason = self._run.data.tags.get(END_TAG, "") == reason
        if (info.status, info.end_time) == (end.status, ended_millis) and has_reason:
            return False
        if not has_reason:
            self._client.set_tag(self.run_id, END_TAG, reason)
        self._client.set_terminated(self.run_id, end.status, ended_millis)
        self._run = self._client.get_run(self.run_id)
        return True
