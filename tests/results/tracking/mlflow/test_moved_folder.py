"""A run folder that is moved or copied keeps the files that MLflow has in it, its registered model among them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from toprung.results.tracking.catch_up import bring_up_to_date
from toprung.results.tracking.mlflow.client import experiment_of, parent_of, quiet_client
from toprung.results.tracking.mlflow.sqlite import sqlite_uri
from toprung.results.tracking.tracking_settings import Tracking

pytestmark = pytest.mark.slow
NAMES = ["moved", "it's 50% of [a] run? é"]


@pytest.fixture
def registered(empty_database: Path, tmp_path: Path, search: Any) -> Path:
    """A run folder whose MLflow has a file, and a model of a single function, version 1 of `digits`."""
    import mlflow

    folder = tmp_path / "runs" / "first"
    folder.mkdir(parents=True)
    shutil.copy(empty_database, folder)
    tracking = Tracking(sqlite_uri(folder / "mlflow.db"), "digits", "first", identity="1")
    client = quiet_client(tracking.uri)
    experiment_id = experiment_of(client, tracking)
    run_id = parent_of(client, tracking, experiment_id)
    client.log_text(run_id, "{}", "report.json")
    mlflow.set_tracking_uri(tracking.uri)
    with mlflow.start_run(run_id=run_id, log_system_metrics=False):
        logged = mlflow.pyfunc.log_model(name="model", python_model=_double, pip_requirements=[])
    client.create_registered_model("digits")
    client.create_model_version("digits", logged.model_uri, run_id, model_id=logged.model_id)
    return folder


def _double(model_input: list[float]) -> list[float]:
    return [2 * value for value in model_input]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("is_copied", [False, True])
def test_its_model_and_files_are_those_beside_the_database(
    name: str, is_copied: bool, registered: Path, tmp_path: Path
) -> None:
    import mlflow

    there = tmp_path / name
    if is_copied:
        shutil.copytree(registered, there)
        shutil.rmtree(registered / "mlartifacts")
    else:
        registered.rename(there)
    tracking = Tracking(sqlite_uri(there / "mlflow.db"), "digits", "first", identity="1")
    for _ in range(2):
        assert bring_up_to_date(tracking, there).runs == 1
    client = quiet_client(tracking.uri)
    run_id = parent_of(client, tracking, experiment_of(client, tracking))
    assert Path(client.download_artifacts(run_id, "report.json")).read_text() == "{}"
    mlflow.set_tracking_uri(tracking.uri)
    assert mlflow.pyfunc.load_model("models:/digits/1").predict([3.0]) == [6.0]


def test_a_database_without_its_files_keeps_pointing_at_them(registered: Path, tmp_path: Path) -> None:
    shutil.copy(registered / "mlflow.db", tmp_path)
    tracking = Tracking(sqlite_uri(tmp_path / "mlflow.db"), "digits", "first", identity="1")
    client = quiet_client(tracking.uri)
    run_id = parent_of(client, tracking, experiment_of(client, tracking))
    assert Path(client.download_artifacts(run_id, "report.json")).read_text() == "{}"
