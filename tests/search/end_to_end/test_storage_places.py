"""A run may stand in a folder of any name and on an object store: search, status, table and retrain find it there."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from toprung.search.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SHORT = {"trials": 2, "max_epochs": 1}


def printed(toprung: Callable[..., Any], *arguments: Any, cwd: Path) -> str:
    done = toprung(*arguments, cwd=cwd).wait()
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def test_a_run_in_a_folder_of_any_name(
    toprung: Any, on_cluster: Any, job_file: Any, tmp_path: Path, capsys: Any
) -> None:
    runs, here = tmp_path / 'it\'s a "run" 100% %20?x=1#2\n;&', tmp_path / "here"
    here.mkdir()
    job = job_file(search=SHORT, storage={"path": str(runs)}, tracking={"enabled": True})
    printed(on_cluster, "search", job, cwd=here)
    run = runs / "small"
    assert main(["table", str(run), "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert "registered small version 1" in printed(toprung, "retrain", run, cwd=here)
    with closing(sqlite3.connect(run / "mlflow.db")) as database:
        (runs_logged,) = database.execute("select count(*) from runs").fetchone()
    assert runs_logged == 4, "the search, two trials and the retraining"
    assert list(here.iterdir()) == [], "nothing is left in the working folder"
    assert {path.name for path in tmp_path.iterdir()} == {runs.name, "here", job.name}


def test_a_run_on_an_object_store(
    toprung: Any, job_file: Any, tmp_path: Path, s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    job = job_file(search=SHORT, storage={"path": s3.uri("runs")})
    printed(toprung, "search", job, cwd=tmp_path)
    assert {key.split("/")[2] for key in s3.objects if key.count("/") > 1} >= {
        "trials",
        "epochs",
        "checkpoints",
    }
    assert main(["status", s3.uri("runs/small/")]) == 0
    assert "2 of 2 trials ended" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {job.name}, "nothing is left in the working folder"
