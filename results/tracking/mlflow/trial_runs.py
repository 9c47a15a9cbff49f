"""The MLflow view of a search: its own run, and one child run for each trial, found by their tags on resume."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toprung.results.tracking.mlflow.client import (
    PARENT_TAG,
    experiment_of,
    find_runs,
    load_mlflow,
    quiet_client,
)
from toprung.results.tracking.mlflow.entries import (
    LAST_EPOCH_TAG,
    end_metrics,
    end_tags,
    epoch_metrics,
    millis,
    params_of,
)
from toprung.results.tracking.mlflow.search_run import SearchRun
from toprung.results.tracking.mlflow.sqlite import keep_journal_file, sqlite_file
from toprung.results.tracking.tracked_runs import RefusedError
from toprung.results.tracking.trial_entries import TAG_CHARS, PendingTrialUpdate, status_of, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.results.tables.rows import Row
    from toprung.results.tracking.search_end import SearchEnd
    from toprung.results.tracking.search_history import SearchFacts
    from toprung.results.tracking.tracking_settings import Tracking

TRIAL_TAG = "toprung.trial_id"

EPOCH_KEY = "epoch_secs"
"""Measured at every epoch, so its history says which epochs MLflow has."""
BATCH_METRICS = 890  # MLflow takes 1000 metrics, parameters and tags together, and 100 parameters
BATCH_PARAMS = 100
NO_ANSWER = frozenset({401, 403, 404, 408, 429})
"""The answers 4xx of a server, or of a proxy before it, that say nothing against what was sent."""


@dataclass
class _Child:
    run_id: str
    tags: dict[str, str]
    logged: set[int] | None = None
    """Epochs that MLflow has; None until they have been read from it."""
    has_params: bool = False
    status: str = "RUNNING"
    ended_millis: int | None = None

    def has(self, update: PendingTrialUpdate) -> bool:
        """Whether MLflow has all of an ended trial."""
        end = update.end
        if end is None:
            return False
        last_epoch = int(self.tags.get(LAST_EPOCH_TAG, -1))
        is_ended = (self.status, self.ended_millis) == (status_of(end), millis(end.get("ended_at")))
        is_tagged = end_tags(end, last_epoch).items() <= self.tags.items()
        return is_ended and is_tagged and max(update.epochs, default=0) <= last_epoch


class MlflowRuns:
    """The parent and child runs of one search. Writing the same rows again changes nothing.

    A trial that has ended costs three calls, which take most of MLflow's time.
    """

    def __init__(self, tracking: Tracking, facts: SearchFacts) -> None:
        keep_journal_file(tracking.uri)
        self._client = quiet_client(tracking.uri)
        self._experiment_id = experiment_of(self._client, tracking)
        self._search = SearchRun(self._client, tracking, self._experiment_id, facts)
        self._name = tracking.run
        self._children: dict[str, _Child] = {}
        self.written: set[str] = set()
        """The runs of which MLflow lacked something: the ids of trials, and the name of the search's own."""
        found = find_runs(self._client, self._experiment_id, PARENT_TAG, self._search.run_id)
        runs = [run for run in found if TRIAL_TAG in run.data.tags]  # a retraining is a child without a trial
        for run in sorted(runs, key=lambda run: (not run.data.params, run.info.start_time, run.info.run_id)):
            self._add_or_delete(run)

    @staticmethod
    def load() -> None:
        """Import MLflow, which takes seconds."""
        load_mlflow()

    @staticmethod
    def may_be_silent(tracking: Tracking) -> bool:
        """Whether a server has to answer."""
        return sqlite_file(tracking.uri) is None

    def write(self, trial_id: str, update: PendingTrialUpdate) -> None:
        """Bring one trial's run up to date.

        Raises:
            RefusedError: MLflow answers, and does not take it.
        """
        try:
            self._write(trial_id, update)
        except Exception as error:
            if _is_refusal(error):
                raise RefusedError(str(error)) from error
            raise

    def begin_search(self) -> None:
        """The search works."""
        self._search.begin()

    def describe_search(self, facts: SearchFacts) -> None:
        """Bring the search's own run up to date."""
        if self._search.describe(facts):
            self.written.add(self._name)

    def end_search(self, end: SearchEnd) -> None:
        """End the search's own run, and the runs of trials that were interrupted."""
        if self._search.end(end):
            self.written.add(self._name)
        for trial_id, child in self._children.items():
            if child.status == "RUNNING":
                self._close(child, "KILLED", millis(end.ended_at))
                self.written.add(trial_id)

    def _write(self, trial_id: str, update: PendingTrialUpdate) -> None:
        child = self._children.get(trial_id)
        if child and child.has(update):
            return
        if child and child.logged is None:
            history = self._client.get_metric_history(child.run_id, EPOCH_KEY)
            child.logged = {metric.step for metric in history}
        child = child or self._create(trial_id, update.proposal or {})
        logged = child.logged = child.logged or set()
        new_epochs = {epoch: row for epoch, row in sorted(update.epochs.items()) if epoch not in logged}
        params = {} if child.has_params else params_of(update.proposal)
        end = update.end
        tags = {} if end is None else end_tags(end, max([0, *update.epochs, *logged]))
        new_tags = dict(tags.items() - child.tags.items())
        metrics = [*epoch_metrics(new_epochs.values()), *([] if end is None else end_metrics(end))]
        self._log(child.run_id, params, metrics, new_tags)
        logged.update(new_epochs)
        child.has_params = child.has_params or bool(params)
        child.tags.update(tags)
        if end is not None:
            self._close(child, status_of(end), millis(end.get("ended_at")))
        elif new_epochs and child.status != "RUNNING":  # it was interrupted, and goes on
            self._client.update_run(child.run_id, status="RUNNING")
            child.status = "RUNNING"
        if params or metrics or new_tags:
            self.written.add(trial_id)

    def _create(self, trial_id: str, proposal: Row) -> _Child:
        tags = {
            PARENT_TAG: self._search.run_id,
            TRIAL_TAG: trial_id,
            "toprung.proposal_reason": text_of(proposal.get("proposal_reason") or "", TAG_CHARS),
        }
        started = millis(proposal.get("proposed_at"))
        run = self._client.create_run(self._experiment_id, start_time=started, tags=tags, run_name=trial_id)
        child = _Child(run.info.run_id, tags, set())
        self._children[trial_id] = child
        self.written.add(trial_id)
        return child

    def _close(self, child: _Child, status: str, ended_millis: int | None) -> None:
        self._client.set_terminated(child.run_id, status, ended_millis)
        child.status, child.ended_millis = status, ended_millis

    def _log(
        self, run_id: str, params: Mapping[str, str], metrics: list[Any], tags: Mapping[str, str]
    ) -> None:
        """All of it in as few calls as MLflow takes, the tags in the last."""
        from mlflow.entities import Param, RunTag

        all_params = [Param(name, value) for name, value in params.items()]
        all_tags = [RunTag(name, value) for name, value in tags.items()]
        batches = max(1, math.ceil(len(all_params) / BATCH_PARAMS), math.ceil(len(metrics) / BATCH_METRICS))
        for batch in range(batches if all_params or metrics or all_tags else 0):
            self._client.log_batch(
                run_id,
                metrics=metrics[batch * BATCH_METRICS : (batch + 1) * BATCH_METRICS],
                params=all_params[batch * BATCH_PARAMS : (batch + 1) * BATCH_PARAMS],
                tags=all_tags if batch == batches - 1 else [],
            )

    def _add_or_delete(self, run: Any) -> None:
        """Keep the first run of each trial; another one was made where a server answered too late, and is empty."""
        trial_id = run.data.tags[TRIAL_TAG]
        if trial_id in self._children:
            self._client.delete_run(run.info.run_id)
            return
        self._children[trial_id] = _Child(
            run.info.run_id,
            dict(run.data.tags),
            has_params=bool(run.data.params),
            status=run.info.status,
            ended_millis=run.info.end_time,
        )


def _is_refusal(error: Exception) -> bool:
    from mlflow.exceptions import MlflowException

    if not isinstance(error, MlflowException):
        return False
    code = error.get_http_status_code()
    return 400 <= code < 500 and code not in NO_ANSWER
