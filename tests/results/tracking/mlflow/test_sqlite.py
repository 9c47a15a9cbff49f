"""MLflow's database is there whole or not at all, whenever the process that makes it is killed."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
from pathlib import Path

import pytest

from toprung.results.tracking.mlflow.client import experiment_of, parent_of, quiet_client
from toprung.results.tracking.mlflow.sqlite import ensure_database, sqlite_file, sqlite_uri
from toprung.results.tracking.tracking_settings import Tracking

pytestmark = pytest.mark.slow
MAKE = (
    "import sys; from toprung.results.tracking.mlflow.client import quiet_client; quiet_client(sys.argv[1])"
)


@pytest.mark.parametrize("after_secs", [0.05, 0.4])
def test_a_process_killed_while_making_it_leaves_nothing_in_the_way(
    tmp_path: Path, after_secs: float
) -> None:
    path = tmp_path / "mlflow.db"
    maker = subprocess.Popen([sys.executable, "-c", MAKE, f"sqlite:///{path}"], cwd=Path(__file__).parents[4])
    while maker.poll() is None and not list(tmp_path.glob(".mlflow.db.*")):
        time.sleep(0.01)
    time.sleep(after_secs)
    maker.kill()
    maker.wait()
    client = quiet_client(f"sqlite:///{path}")
    assert client.create_experiment("after the kill")


def test_a_database_that_is_there_is_left_alone(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    experiment = quiet_client(uri).create_experiment("kept")
    ensure_database(uri)
    assert quiet_client(uri).get_experiment(experiment).name == "kept"
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_a_server_needs_no_file(tmp_path: Path) -> None:
    ensure_database("http://127.0.0.1:1")
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    assert quiet_client(f"sqlite:///{tmp_path / 'mlflow.db'}").create_experiment("made")
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_a_database_that_cannot_be_made_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    monkeypatch.setattr("pathlib.Path.rename", refuse)
    with pytest.raises(OSError, match="Input/output"):
        ensure_database(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_the_database_and_its_files_stand_in_their_folder_whatever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = 'it\'s a "run" 100% %20?x=1#2 é\n;&a:b@c'
    monkeypatch.chdir(tmp_path)
    folder, file = tmp_path / name / "run", tmp_path / "report.json"
    file.write_text("{}")
    tracking = Tracking(sqlite_uri(folder / "mlflow.db"), "digits", run=name)
    assert sqlite_file(tracking.uri) == folder / "mlflow.db"
    client = quiet_client(tracking.uri)
    experiment = experiment_of(client, tracking)
    run = parent_of(client, tracking, experiment)
    client.log_artifact(run, str(file))
    assert parent_of(quiet_client(tracking.uri), tracking, experiment) == run, "it is found again by its name"
    left = {path.name for path in folder.iterdir()} - {"mlflow.db-journal"}
    assert left == {"mlartifacts", "mlflow.db"}
    assert len(list(folder.rglob("report.json"))) == 1
    assert {path.name for path in tmp_path.iterdir()} == {name, "report.json"}
