"""A run's tables beside an MLflow of their own, and what MLflow then has of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from toprung.results.tables.rows import config_of
from toprung.results.tables.schema import kinds_of, run_schemas
from toprung.results.tables.writer import RunWriter
from toprung.results.tracking.mlflow.client import quiet_client
from toprung.results.tracking.mlflow.sqlite import ensure_database
from toprung.results.tracking.tracker import Tracker
from toprung.results.tracking.tracking_settings import SearchDescription, Tracking

DESCRIPTION = SearchDescription(
    "val_accuracy", 4, {"range.learning_rate": "0.1 to 0.2"}, "name: quickstart\n"
)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's file with its tables, which take a second to make."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    ensure_database(f"sqlite:///{path}")
    return path


@pytest.fixture
def tracking(empty_database: Path, tmp_path: Path) -> Tracking:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    return Tracking(uri, "digits", run="quick start's run", identity="5f1e", search=DESCRIPTION)


class Run:
    """A run's folder, its tables filled with a small search's rows, and its MLflow."""

    def __init__(self, folder: Path, search: Any) -> None:
        self.folder, self.search = folder, search
        self.heard: list[str] = []
        self._rows_written = dict.fromkeys(search.rows, 0)

    def write(self) -> None:
        """Put the rows that are new into the tables."""
        kinds = kinds_of(map(config_of, self.search.rows["proposals"]))
        with RunWriter(self.folder, run_schemas(kinds)) as writer:
            for table, rows in self.search.rows.items():
                for row in rows[self._rows_written[table] :]:
                    writer.append(table, row)
                self._rows_written[table] = len(rows)

    def tracked(self, tracking: Tracking, period_secs: float = 0.1, **closing: Any) -> bool:
        """Let MLflow follow until it has everything, or for `timeout_secs`."""
        patient = {"timeout_secs": 120.0, **closing}
        return Tracker(tracking, self.folder, self.heard.append, period_secs).close(**patient)


@pytest.fixture
def run(tmp_path: Path, search: Any) -> Run:
    return Run(tmp_path / "run", search)


class Written:
    """What MLflow has of a search."""

    def __init__(self, tracking: Tracking) -> None:
        self.client = quiet_client(tracking.uri)
        experiment = self.client.get_experiment_by_name(tracking.experiment)
        runs = self.client.search_runs([experiment.experiment_id])
        (self.parent,) = [run for run in runs if run.data.tags.get("toprung.run") == tracking.run]
        children = [run for run in runs if "toprung.trial_id" in run.data.tags]
        self.children = {run.data.tags["toprung.trial_id"]: run for run in children}
        assert len(self.children) == len(children), "a trial has one run"

    def steps(self, trial_id: str, key: str) -> list[tuple[int, float]]:
        """A metric's history."""
        history = self.client.get_metric_history(self.children[trial_id].info.run_id, key)
        return [(metric.step, metric.value) for metric in history]


@pytest.fixture
def written() -> type[Written]:
    return Written
