"""`tracking.uri` is looked at before the search: what can be no address is refused, what does not answer is noted."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from toprung.search.jobs.schema import Job
from toprung.search.preparation.tracking_address import check_tracking, tracking_notes
from toprung.spaces.errors import InputError


def job(uri: str | None, enabled: bool = True) -> Job:
    return Job(name="a", data="digits", tracking={"uri": uri, "enabled": enabled})


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("mlruns", "is taken for a folder, and MLflow writes into none"),
        ("localhost:5000", "is taken for a folder"),
        ("http:/server:5000", "is taken for a folder"),
        ("file:///srv/mlruns", "is taken for a folder"),
        ("http://", "names no host"),
        ("http://:5000", "names no host"),
        ("https://server:port", "names no host, or no port that can be"),
        ("http://server:99999", "no port that can be"),
        ("http://my server", "names no host"),
        ("postgresql:///mlflow", "names no host"),
        ("sqlite:///", "names no file"),
        ("sqlite:////", "is a folder"),
        ("sqlite:////dev/null/mlflow.db", "cannot be made, as /dev/null is a file"),
    ],
)
def test_what_can_be_no_address_is_refused(uri: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    with pytest.raises(InputError) as caught:
        check_tracking(job(uri))
    (problem,) = caught.value.problems
    assert problem.where == "tracking.uri" and told in problem.given
    check_tracking(job(uri, enabled=False))


@pytest.mark.parametrize(
    "uri",
    [
        None,
        "databricks",
        "databricks://work",
        "http://server:5000/mlflow",
        "postgresql+psycopg2://me@db/mlflow",
    ],
)
def test_every_address_that_mlflow_knows_is_taken(uri: str | None) -> None:
    check_tracking(job(uri))


def test_a_file_that_is_to_be_made_and_a_folder_that_mlflow_is_told_to_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_tracking(job(f"sqlite:///{tmp_path}/new/folder/mlflow.db"))
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    check_tracking(job("mlruns"))


def test_a_server_that_does_not_answer_is_a_note_and_one_that_does_is_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert list(tracking_notes(job(f"http://127.0.0.1:{port}"))) == []
    (line,) = tracking_notes(job(f"http://127.0.0.1:{port}"))
    assert (
        line.startswith(f"MLflow at http://127.0.0.1:{port} does not answer (") and "toprung sync RUN" in line
    )
    assert list(tracking_notes(job(f"http://127.0.0.1:{port}", enabled=False))) == []
