"""Writes a retraining to MLflow: metrics, tags, files, and the registered model under its alias.

The process of the retraining writes it; the writer of a search never loads this path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toprung.results.serving.pyfunc_model import pyfunc_settings
from toprung.results.tracking.mlflow.client import PARENT_TAG, experiment_of, parent_of, quiet_client
from toprung.results.tracking.tracking_settings import Tracking

if TYPE_CHECKING:
    from pathlib import Path

RETRAIN_TAG = "toprung.retrain_of"


@dataclass(frozen=True)
class RetrainedModel:
    """A retrained model with what is logged beside it.

    `model_file` is its .keras file. Metrics that are not finite are left out; tags are of the run and of the model's
    version.
    """

    model_file: Path
    trial_id: str
    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    files: Sequence[Path] = ()


@dataclass(frozen=True)
class RegisteredModel:
    """A version in the model registry, and the alias that points at it by now."""

    name: str
    version: int
    alias: str
    run_id: str

    @property
    def alias_uri(self) -> str:
        """What `mlflow.pyfunc.load_model` takes for whatever has the alias."""
        return f"models:/{self.name}@{self.alias}"

    @property
    def version_uri(self) -> str:
        """What it takes for this version, whatever has the alias."""
        return version_uri(self.name, self.version)


def version_uri(name: str, version: int | str) -> str:
    """The address of a version of a registered model."""
    return f"models:/{name}/{version}"


def register_model(
    tracking: Tracking, name: str, alias: str, retrained: RetrainedModel, known_as: str | None = None
) -> RegisteredModel:
    """Log one retraining as a child of the search's run, register its model and move the alias to it.

    A version that is known already gets the alias in place of the one that it had. Raises whatever MLflow raises; the
    retraining's own files are not touched.

    Args:
        tracking: Where MLflow is.
        name: The registered model.
        alias: "champion" or "challenger".
        retrained: What is registered.
        known_as: The address of the version that the model had when it was registered before; None if it was not.
    """
    client = quiet_client(tracking.uri)
    versions = client.search_model_versions(f"name = '{name}'") if known_as else []
    known = next((each for each in versions if version_uri(name, each.version) == known_as), None)
    if known is None:
        return _registered_anew(client, tracking, name, alias, retrained)
    for key, text in retrained.tags.items():
        client.set_model_version_tag(name, known.version, key, text)
    for former in client.get_model_version(name, known.version).aliases:
        if former != alias:
            client.delete_registered_model_alias(name, former)
    client.set_registered_model_alias(name, alias, known.version)
    return RegisteredModel(name, int(known.version), alias, str(known.run_id))


def _registered_anew(
    client: Any, tracking: Tracking, name: str, alias: str, retrained: RetrainedModel
) -> RegisteredModel:
    run_id = _retrain_run(client, tracking, retrained.trial_id)
    for key, value in retrained.config.items():
        client.log_param(run_id, key, value)
    for key, number in retrained.metrics.items():
        if math.isfinite(number):
            client.log_metric(run_id, key, number)
    for path in retrained.files:
        client.log_artifact(run_id, str(path))
    version = _new_version(client, name, _log_model(tracking, retrained.model_file, run_id))
    for key, text in retrained.tags.items():
        client.set_tag(run_id, key, text)
        client.set_model_version_tag(name, str(version), key, text)
    client.set_registered_model_alias(name, alias, str(version))
    client.set_terminated(run_id)
    return RegisteredModel(name, version, alias, run_id)


def _retrain_run(client: Any, tracking: Tracking, trial_id: str) -> str:
    experiment_id = experiment_of(client, tracking)
    tags = {PARENT_TAG: parent_of(client, tracking, experiment_id), RETRAIN_TAG: trial_id}
    return str(client.create_run(experiment_id, tags=tags, run_name=f"retrain {trial_id}").info.run_id)


def _log_model(tracking: Tracking, model_file: Path, run_id: str) -> Any:
    import mlflow
    import mlflow.pyfunc

    mlflow.set_tracking_uri(tracking.uri)
    with mlflow.start_run(run_id=run_id, log_system_metrics=False):
        return mlflow.pyfunc.log_model(name="model", **pyfunc_settings(model_file))


def _new_version(client: Any, name: str, logged: Any) -> int:
    # log_model could register too, but prints on the terminal while it does.
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    made = client.create_model_version(name, logged.model_uri, logged.run_id, model_id=logged.model_id)
    return int(made.version)
