"""Passwords and keys do not belong into a job: it is printed, saved beside the run and handed to other processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from toprung.search.cli import main
from toprung.search.jobs.schema import Job

SECRET = "ver/y+secret"
STORES = [f"s3://AKIA:{SECRET}@bucket/run", f"s3://bucket/run?access_key=AKIA&secret_key={SECRET}"]
DATABASE = f"postgresql://me:{SECRET}@host/mlflow"


REFUSED = [
    ("storage.path: 's3://***@bucket/run'", {"storage": {"path": STORES[0]}}),
    ("storage.path: 's3://bucket/run?access_key=***&secret_key=***'", {"storage": {"path": STORES[1]}}),
    ("data.path: 's3://***@bucket/run'", {"data": {"path": STORES[0]}}),
    ("search.warm_start.0: 's3://***@bucket/run'", {"search": {"warm_start": [STORES[0]]}}),
    ("tracking.uri: 'postgresql://***@host/mlflow'", {"tracking": {"uri": DATABASE}}),
]


@pytest.mark.parametrize(("where", "sections"), REFUSED)
def test_a_job_with_credentials_is_refused_without_repeating_them(
    where: str, sections: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump({"data": "digits", **sections}))
    assert main(["check", str(path)]) == 2
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert f"{where} given; must hold no password or key: set " in said.err


@pytest.mark.parametrize(
    "sections", [{"storage": [STORES[0]]}, {"name": STORES[0]}, {"data": {"image_size": DATABASE}}]
)
def test_credentials_in_a_wrong_place_are_not_repeated_either(
    sections: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump({"data": "digits", **sections}))
    assert main(["check", str(path)]) == 2
    assert main(["check", str(path), "--set", f"storage.path={STORES[0]}"]) == 2
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err


@pytest.mark.parametrize("command", ["check", "search", "status", "table", "retrain"])
def test_a_job_or_run_named_with_credentials_is_refused(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, STORES[0]]) == 2
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert "s3://***@bucket/run; must hold no password or key: set AWS_ACCESS_KEY_ID" in said.err


def test_where_a_store_answers_stays_allowed_and_stands_behind_the_name() -> None:
    store = "endpoint_override=127.0.0.1:9000&scheme=http&region=eu"
    job = Job.from_dict(
        {"name": "a", "data": "digits", "storage": {"path": f"s3://bucket/runs/?{store}"}}, "job"
    )
    assert job.run_root == f"s3://bucket/runs/a?{store}"
    assert f"s3://bucket/runs/?{store}" in job.to_yaml()
