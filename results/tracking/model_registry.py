"""Writes a retraining to MLflow: metrics, files, and the registered model with the alias `champion`.

Runs in the retraining process, where Keras is loaded already; the writer of a search never loads this path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.results.tracking.mlflow_runs import PARENT_TAG, Tracking, experiment_of, parent_of, quiet_client

if TYPE_CHECKING:
    from pathlib import Path

RETRAIN_TAG = "toprung.retrain_of"
ALIAS = "champion"


@dataclass(frozen=True)
class RetrainedModel:
    """A retrained Keras model with what is logged beside it.

    `model` takes uint8 images (N, H, W, C) and gives float32 class probabilities (N, classes). Metrics that are not
    finite are left out.
    """

    model: Any
    trial_id: str
    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    files: Sequence[Path] = ()


@dataclass(frozen=True)
class RegisteredModel:
    """A version in the model registry; `uri` is what `mlflow.keras.load_model` takes."""

    name: str
    version: int
    alias: str
    uri: str
    run_id: str


def register_model(tracking: Tracking, name: str, retrained: RetrainedModel) -> RegisteredModel:
    """Log one retraining as a child of the search's run, register its model and move the alias to it.

    Raises whatever MLflow raises; the retraining's own files are not touched.
    """
    client = quiet_client(tracking.uri)
    run_id = _retrain_run(client, tracking, retrained.trial_id)
    for key, value in retrained.config.items():
        client.log_param(run_id, key, value)
    for key, number in retrained.metrics.items():
        if math.isfinite(number):
            client.log_metric(run_id, key, number)
    for path in retrained.files:
        client.log_artifact(run_id, str(path))
    version = _new_version(client, name, _log_model(tracking, retrained.model, run_id))
    client.set_registered_model_alias(name, ALIAS, str(version))
    client.set_terminated(run_id)
    return RegisteredModel(name, version, ALIAS, f"models:/{name}@{ALIAS}", run_id)


def _retrain_run(client: Any, tracking: Tracking, trial_id: str) -> str:
    experiment_id = experiment_of(client, tracking)
    tags = {PARENT_TAG: parent_of(client, tracking, experiment_id), RETRAIN_TAG: trial_id}
    return str(client.create_run(experiment_id, tags=tags, run_name=f"retrain {trial_id}").info.run_id)


def _log_model(tracking: Tracking, model: Any, run_id: str) -> Any:
    import mlflow
    import mlflow.keras
    from mlflow.models import infer_signature

    images = np.zeros((1, *model.input_shape[1:]), dtype=np.uint8)
    signature = infer_signature(images, np.asarray(model(images)))
    mlflow.set_tracking_uri(tracking.uri)
    mlflow.set_registry_uri(tracking.uri)
    with mlflow.start_run(run_id=run_id, log_system_metrics=False):
        return mlflow.keras.log_model(
            model,
            name="model",
            signature=signature,
            pip_requirements=_requirements(),  # inferring them would load the model once more
        )


def _new_version(client: Any, name: str, logged: Any) -> int:
    # log_model could register too, but prints on the terminal while it does.
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    made = client.create_model_version(name, logged.model_uri, logged.run_id, model_id=logged.model_id)
    return int(made.version)


def _requirements() -> list[str]:
    from importlib.metadata import version

    return [f"{package}=={version(package)}" for package in ("keras", "tensorflow", "numpy", "mlflow")]
