"""Searches over the whole CNN space, the transfer space and a user's file, from the job to the tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared"
WEIGHTS = SHARED / "weights" / "mobilenet_v2_0.35_notop.weights.h5"


def trials_of(run: Path) -> pd.DataFrame:
    trials = pd.read_parquet(run / "trials")
    assert set(trials["outcome"]) <= {"COMPLETED", "STOPPED"}, trials[["outcome", "error"]]
    return trials


def test_the_full_cnn_space_is_searched(on_cluster, job_file, tmp_path: Path) -> None:
    space = {
        "name": "cnn_full",
        "fixed": {"batch_size": 128, "kernel_size": 3, "optimizer": "adamw"},
        "ranges": {"filters": {"choices": [8, 16]}, "blocks": [1, 2], "dense_units": {"choices": [0, 64]}},
    }
    job = job_file(search={"trials": 6, "max_epochs": 2, "initial_configs": []})
    job.write_text(_with_space(job, space))
    ended = on_cluster("search", job).wait()
    assert ended.returncode == 0, ended.stderr
    trials = trials_of(tmp_path / "runs" / "small")
    assert len(trials) == 6
    assert trials["config/block_type"].nunique() > 1
    assert trials["config/head_l2"].isna().tolist() == (trials["config/dense_units"] == 0).tolist()


@pytest.mark.skipif(not WEIGHTS.exists(), reason=f"no weights at {WEIGHTS}")
def test_the_transfer_space_is_searched_and_its_winner_trained(on_cluster, job_file, tmp_path: Path) -> None:
    space = {
        "name": "transfer",
        "fixed": {"backbone": "MobileNetV2", "alpha": 0.35, "weights": str(WEIGHTS), "input_size": 32,
                  "dense_units": 0, "batch_size": 128, "head_epochs": 1, "top_epochs": 1},
    }  # fmt: skip
    job = job_file(search={"trials": 3, "max_epochs": 3}, resources={"deterministic": True})
    job.write_text(_with_space(job, space))
    ended = on_cluster("search", job).wait()
    assert ended.returncode == 0, ended.stderr
    run = tmp_path / "runs" / "small"
    assert len(trials_of(run)) == 3
    rates = pd.read_parquet(run / "epochs").query("epoch == 3")["learning_rate"]
    assert len(rates) >= 1
    trained = on_cluster("retrain", run).wait()
    assert trained.returncode == 0, trained.stderr
    assert (run / "retrain" / "model.keras").exists()


def test_a_users_family_is_searched_from_any_folder(on_cluster, job_file, tmp_path: Path) -> None:
    (tmp_path / "my_models.py").write_text((ROOT / "tests/trainables/my_models.py").read_text())
    job = job_file(search={"trials": 2, "max_epochs": 1})
    job.write_text(_with_space(job, {"name": "my_models.py:MyFamily", "fixed": {"width": 8}}))
    ended = on_cluster("search", job, cwd=tmp_path).wait()
    assert ended.returncode == 0, ended.stderr
    assert len(trials_of(tmp_path / "runs" / "small")) == 2


@pytest.mark.skipif(
    not (SHARED / "data" / "flowers").exists(), reason=f"no photographs at {SHARED / 'data' / 'flowers'}"
)
def test_the_shipped_transfer_job_is_valid(toprung) -> None:
    job = ROOT / "search/jobs/flowers-transfer.yaml"
    ended = toprung("check", job, "--set", f"data.path={SHARED / 'data' / 'flowers'}").wait()
    assert ended.returncode == 0, ended.stderr
    assert "128x128x3, 5 classes" in ended.stdout


def _with_space(job: Path, space: dict) -> str:
    """The job's text with another space."""
    import yaml

    return yaml.safe_dump({**yaml.safe_load(job.read_text()), "space": space})
