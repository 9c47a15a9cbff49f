"""A whole search within bounds: what is not trained, who wins, and what is said where nobody keeps them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from run_tables import tables

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WIDE_AND_NARROW = [{"filters": 32}, {"filters": 8}, {"filters": 32}]


@pytest.fixture
def bounded_job(job_file: Callable[..., Path]) -> Callable[..., Path]:
    """A job whose networks have 8 or 32 filters, of which the wide ones have more parameters than the bound."""

    def write(constraints: dict[str, Any]) -> Path:
        search = {
            "trials": 4,
            "max_epochs": 2,
            "initial_configs": WIDE_AND_NARROW,
            "constraints": constraints,
        }
        job = job_file(search=search)
        content = yaml.safe_load(job.read_text())
        del content["space"]["fixed"]["filters"]
        content["space"]["ranges"]["filters"] = {"choices": [8, 32]}
        job.write_text(yaml.safe_dump(content))
        return job

    return write


def test_a_model_beyond_a_bound_is_not_trained_and_the_best_within_wins(
    on_cluster, bounded_job, tmp_path: Path
) -> None:
    bounds = {"parameter_count": {"max": 5000}, "latency_ms": {"max": 10_000}}
    job, run = bounded_job(bounds), tmp_path / "runs" / "small"
    ended = on_cluster("search", job).wait()
    assert ended.returncode == 0, ended.stderr
    found = tables(run)
    trials = found["trials"].set_index("trial_id")
    wide = trials[trials["config/filters"] == 32]
    narrow = trials[trials["config/filters"] == 8]
    assert len(wide) >= 2 and len(narrow) >= 1
    assert (
        (wide["last_epoch"] == 0).all()
        and (wide["violation"] > 0).all()
        and (wide["parameter_count"] > 5000).all()
    )
    assert (narrow["violation"] == 0).all() and (narrow["parameter_count"] < 5000).all()
    assert (trials["latency_ms"] > 0).all(), "it is measured before the training"
    assert not set(found["epochs"]["trial_id"]) & set(wide.index)
    assert (
        f"{len(narrow)} of 4 trials keep latency_ms at most 10,000, parameter_count at most 5,000"
        in ended.stdout
    )
    assert "not trained: parameter_count" in wide["reason"].iloc[0]
    again = on_cluster("search", job, "--set", "search.trials=+1").wait()
    assert again.returncode == 0, again.stderr
    assert len(tables(run)["trials"]) == 5


def test_where_no_trial_keeps_the_bounds_the_nearest_is_named(
    on_cluster, bounded_job, tmp_path: Path
) -> None:
    ended = on_cluster("search", bounded_job({"parameter_count": {"max": 10}})).wait()
    assert ended.returncode == 0, ended.stderr
    assert (
        "none of 4 trials keeps parameter_count at most 10; the nearest is t00001: parameter_count"
        in ended.stdout
    )
    refused = on_cluster("retrain", tmp_path / "runs" / "small").wait()
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1
    assert "keeps search.constraints (4 STOPPED); the nearest is t0000" in refused.stderr
