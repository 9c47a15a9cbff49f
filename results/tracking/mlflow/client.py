"""What the MLflow view of a search has in common: the client, the experiment, and the search's own run, found by tags.

Only the mirror process, the retraining and `toprung sync` use this; everything here may take seconds or fail.
"""

from __future__ import annotations

import importlib
import logging
import os
from typing import TYPE_CHECKING, Any

from toprung.results.tracking.mlflow.artifact_paths import follow_moved_folder
from toprung.results.tracking.mlflow.sqlite import artifact_folder, ensure_database, sqlite_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.results.tracking.tracking_settings import Tracking

RUN_TAG = "toprung.run"
IDENTITY_TAG = "toprung.run_identity"
PARENT_TAG = "mlflow.parentRunId"
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # A request that is sent again where only its answer was lost would make a run twice; the mirror looks first.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "GIT_PYTHON_REFRESH": "quiet",
}


def load_mlflow() -> None:
    """Import MLflow, which takes seconds, so that it neither reports usage, nor logs, nor sends a request twice."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    importlib.import_module("mlflow")
    for name in ("mlflow", "alembic", "sqlalchemy", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is raised as well


def quiet_client(uri: str) -> Any:
    """An MlflowClient that says nothing, see `load_mlflow`, of a database that is there."""
    load_mlflow()
    import mlflow

    ensure_database(uri)
    follow_moved_folder(uri)
    return mlflow.MlflowClient(uri, registry_uri=uri)


def experiment_of(client: Any, tracking: Tracking) -> str:
    """The id of the experiment, created or restored when need be."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(tracking.experiment)
    if found is None:
        try:
            return str(client.create_experiment(tracking.experiment, artifact_location(tracking)))
        except MlflowException:  # another search on the server may have made it at this moment
            found = client.get_experiment_by_name(tracking.experiment)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def artifact_location(tracking: Tracking) -> str | None:
    """Where MLflow puts files: by default a folder beside an SQLite file, as its own is the working directory."""
    database = sqlite_file(tracking.uri)
    return artifact_folder(database) if tracking.artifacts is None and database else tracking.artifacts


def parent_of(client: Any, tracking: Tracking, experiment_id: str, started_millis: int | None = None) -> str:
    """The id of the search's own run, found by its tags or created with this start, in ms since 1970.

    Of several, which a server makes where it answers too late, the one with trials is kept and the empty are deleted.
    """
    found = _own_runs(client, tracking, experiment_id)
    if not found:
        identity = {IDENTITY_TAG: tracking.identity} if tracking.identity else {}
        tags = {**tracking.tags, RUN_TAG: tracking.run, **identity}
        run = client.create_run(experiment_id, start_time=started_millis, tags=tags, run_name=tracking.run)
        return str(run.info.run_id)
    if len(found) == 1:
        return str(found[0].info.run_id)
    with_children = [
        run for run in found if any(find_runs(client, experiment_id, PARENT_TAG, run.info.run_id))
    ]
    kept = (with_children or sorted(found, key=lambda run: (run.info.start_time, run.info.run_id)))[0]
    for run in found:
        if run is not kept and run not in with_children:
            client.delete_run(run.info.run_id)
    return str(kept.info.run_id)


def _own_runs(client: Any, tracking: Tracking, experiment_id: str) -> list[Any]:
    if tracking.identity is None:
        return list(find_runs(client, experiment_id, RUN_TAG, tracking.run))
    found = list(find_runs(client, experiment_id, IDENTITY_TAG, tracking.identity))
    if not found and sqlite_file(
        tracking.uri
    ):  # the run's own file, perhaps of a version that knew no identity
        named = find_runs(client, experiment_id, RUN_TAG, tracking.run)
        found = [run for run in named if IDENTITY_TAG not in run.data.tags]
        for run in found:
            client.set_tag(run.info.run_id, IDENTITY_TAG, tracking.identity)
    return found


def find_runs(client: Any, experiment_id: str, tag: str, value: str) -> Iterator[Any]:
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
