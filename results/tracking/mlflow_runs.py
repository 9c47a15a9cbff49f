"""The MLflow view of a search: one parent run, one child run a trial, found by their tags on resume.

Only the mirror process and the retraining use this; everything here may take seconds or fail.
"""

from __future__ import annotations

import logging
import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from toprung.results.tables.rows import Row, config_of
from toprung.results.tracking.mlflow_sqlite import (
    artifact_folder,
    ensure_database,
    keep_journal_file,
    sqlite_file,
)
from toprung.trainables.trial.report import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

RUN_TAG = "toprung.run"
TRIAL_TAG = "toprung.trial_id"
OUTCOME_TAG = "toprung.outcome"
LAST_EPOCH_TAG = "toprung.last_epoch"
PARENT_TAG = "mlflow.parentRunId"

EPOCH_KEY = "epoch_secs"
"""Measured at every epoch, so its history says which epochs MLflow has."""
BATCH_METRICS = 890  # MLflow takes 1000 metrics, parameters and tags together, and 100 parameters
BATCH_PARAMS = 100
PARAM_CHARS = 6000
_NOT_METRICS = {"epoch", "arrival_index", "elapsed_secs"}
_STATUS = {
    Outcome.COMPLETED: "FINISHED",
    Outcome.STOPPED: "KILLED",
    Outcome.PREEMPTED: "KILLED",
    Outcome.TIMEOUT: "KILLED",
}


@dataclass(frozen=True)
class Tracking:
    """Where a search is tracked: MLflow URI and experiment, and `run`, a name the search keeps for life.

    `artifacts` is where MLflow puts files; for SQLite by default the folder `mlartifacts` beside the file.
    """

    uri: str
    experiment: str
    run: str
    artifacts: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def artifact_location(self) -> str | None:
        """`artifacts`, or a folder beside a SQLite file: MLflow's own default is the working directory."""
        database = sqlite_file(self.uri)
        return artifact_folder(database) if self.artifacts is None and database else self.artifacts


@dataclass
class PendingTrialUpdate:
    """What MLflow does not have yet of one trial, as rows of the tables."""

    proposal: Row | None = None
    epochs: dict[int, Row] = field(default_factory=dict)
    end: Row | None = None


@dataclass
class _Child:
    run_id: str
    tags: dict[str, str]
    logged: set[int] | None = None
    """Epochs that MLflow has; None until they have been read from it."""
    has_params: bool = False
    is_closed: bool = False


class MlflowRuns:
    """The parent and child runs of one search. Writing the same rows again changes nothing.

    A trial that has ended costs three calls, which take most of MLflow's time.
    """

    def __init__(self, tracking: Tracking) -> None:
        keep_journal_file(tracking.uri)
        self._client = quiet_client(tracking.uri)
        self._experiment_id = experiment_of(self._client, tracking)
        self._parent_id = parent_of(self._client, tracking, self._experiment_id)
        self._client.update_run(self._parent_id, status="RUNNING")  # a resumed search had ended it
        found = _search(self._client, self._experiment_id, PARENT_TAG, self._parent_id)
        runs = [run for run in found if TRIAL_TAG in run.data.tags]  # a retraining is a child without a trial
        self._children = {run.data.tags[TRIAL_TAG]: _child_of(run) for run in runs}

    def write(self, trial_id: str, update: PendingTrialUpdate) -> None:
        """Bring one trial's run up to date; raises whatever MLflow raises."""
        child = self._children.get(trial_id)
        if child and child.is_closed and max(update.epochs, default=0) <= int(child.tags[LAST_EPOCH_TAG]):
            return
        if child and child.logged is None:
            history = self._client.get_metric_history(child.run_id, EPOCH_KEY)
            child.logged = {metric.step for metric in history}
        tags = _end_tags(update, child)
        child = child or self._create(trial_id, update.proposal or {}, tags)
        logged = child.logged = child.logged or set()
        new_epochs = {epoch: row for epoch, row in sorted(update.epochs.items()) if epoch not in logged}
        params = {} if child.has_params else _params(update.proposal)
        new_tags = dict(tags.items() - child.tags.items())
        self._log(child.run_id, params, list(_metrics(new_epochs.values())), new_tags)
        logged.update(new_epochs)
        child.has_params = child.has_params or bool(params)
        child.tags.update(tags)
        if update.end is not None:
            status = _STATUS.get(Outcome(update.end["outcome"]), "FAILED")
            self._client.set_terminated(child.run_id, status, _millis(update.end.get("ended_at")))
            child.is_closed = True

    def end_search(self, status: str, metrics: Mapping[str, float]) -> None:
        """End the parent run FINISHED, KILLED or FAILED; `metrics` are the search's own, such as its best."""
        for name, value in metrics.items():
            if math.isfinite(value):
                self._client.log_metric(self._parent_id, name, value)
        self._client.set_terminated(self._parent_id, status)

    def _create(self, trial_id: str, proposal: Row, more_tags: Mapping[str, str]) -> _Child:
        tags = {
            **more_tags,
            PARENT_TAG: self._parent_id,
            TRIAL_TAG: trial_id,
            "toprung.proposal_reason": str(proposal.get("proposal_reason") or ""),
        }
        started = _millis(proposal.get("proposed_at"))
        run = self._client.create_run(self._experiment_id, start_time=started, tags=tags, run_name=trial_id)
        child = _Child(run.info.run_id, tags, set())
        self._children[trial_id] = child
        return child

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


def quiet_client(uri: str) -> Any:
    """An MlflowClient that neither reports usage, nor logs what it raises, nor retries for minutes."""
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "GIT_PYTHON_REFRESH": "quiet",
    }.items():
        os.environ.setdefault(name, value)
    import mlflow

    for name in ("mlflow", "alembic", "sqlalchemy", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is raised as well
    ensure_database(uri)
    return mlflow.MlflowClient(uri, registry_uri=uri)


def experiment_of(client: Any, tracking: Tracking) -> str:
    """The id of the experiment, created or restored when need be."""
    found = client.get_experiment_by_name(tracking.experiment)
    if found is None:
        return str(client.create_experiment(tracking.experiment, tracking.artifact_location))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def parent_of(client: Any, tracking: Tracking, experiment_id: str) -> str:
    """The id of the search's run, found by its tag or created."""
    for run in _search(client, experiment_id, RUN_TAG, tracking.run):
        return str(run.info.run_id)
    tags = {**tracking.tags, RUN_TAG: tracking.run}
    return str(client.create_run(experiment_id, tags=tags, run_name=tracking.run).info.run_id)


def _search(client: Any, experiment_id: str, tag: str, value: str) -> Iterator[Any]:
    """The runs with this value of a tag. MLflow's filters cannot hold a text with both kinds of quotes."""
    token = None
    quote = '"' if "'" in value else "'"
    condition = f"tags.`{tag}` = {quote}{value}{quote}" if quote not in value else f"tags.`{tag}` != ''"
    while True:
        page = client.search_runs([experiment_id], condition, max_results=1000, page_token=token)
        yield from (run for run in page if run.data.tags.get(tag) == value)
        token = page.token
        if not token:
            return


def _child_of(run: Any) -> _Child:
    is_closed = run.info.status != "RUNNING" and LAST_EPOCH_TAG in run.data.tags
    return _Child(run.info.run_id, dict(run.data.tags), has_params=bool(run.data.params), is_closed=is_closed)


def _params(proposal: Row | None) -> dict[str, str]:
    config = {} if proposal is None else {"seed": proposal.get("seed"), **config_of(proposal)}
    return {name: str(value)[:PARAM_CHARS] for name, value in config.items()}


def _end_tags(update: PendingTrialUpdate, child: _Child | None) -> dict[str, str]:
    if update.end is None:
        return {}
    logged = child.logged if child and child.logged else set()
    return {OUTCOME_TAG: str(update.end["outcome"]), LAST_EPOCH_TAG: str(max([0, *update.epochs, *logged]))}


def _metrics(epochs: Iterable[Row]) -> Iterator[Any]:
    """Finite numbers only: MLflow would draw infinity as 1.8e308; the tables have every value."""
    from mlflow.entities import Metric

    for row in epochs:
        at = _millis(row.get("reported_at"))
        for name, value in row.items():
            if name not in _NOT_METRICS and isinstance(value, int | float) and math.isfinite(value):
                yield Metric(name, float(value), at, int(row["epoch"]))


def _millis(moment: Any) -> int | None:
    return None if moment is None or pd.isna(moment) else int(moment.timestamp() * 1000)
