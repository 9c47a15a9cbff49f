"""The shipped jobs run as they stand, but for their size and that of their images."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[3]
CIFAR10 = ROOT.parent / "shared" / "data" / "cifar10_jpeg"
TINY = {
    "filters": 8,
    "blocks": 1,
    "convs_per_block": 1,
    "kernel_size": 3,
    "dense_units": 0,
    "batch_size": 256,
}


@pytest.mark.skipif(not CIFAR10.exists(), reason=f"no copy of CIFAR-10 at {CIFAR10}")
def test_cifar10_from_parquet_is_decoded_once_for_all_trials(toprung, tmp_path: Path) -> None:
    cache, images = tmp_path / "cache", tmp_path / "images"
    for file in CIFAR10.rglob("*.parquet"):
        few = images / file.relative_to(CIFAR10)
        few.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pq.read_table(file).slice(0, 3000), few)
    settings = {
        "data.path": images,
        "data.max_train_images": 2000,
        "search.trials": 3,
        "search.max_epochs": 1,
        "storage.path": tmp_path / "runs",
        "tracking.enabled": "false",
        **{f"space.fixed.{name}": value for name, value in TINY.items()},
    }
    overrides = [text for name, value in settings.items() for text in ("--set", f"{name}={value}")]
    env = {"TOPRUNG_CACHE": str(cache)}
    ended = toprung("search", ROOT / "search" / "jobs" / "cifar10.yaml", *overrides, env=env).wait()
    assert ended.returncode == 0, ended.stderr
    trials = pd.read_parquet(tmp_path / "runs" / "cifar10" / "trials")
    assert set(trials["outcome"]) == {"COMPLETED"}
    assert len(list(cache.rglob("manifest.json"))) == 1
    assert trials["worker_pid"].nunique() <= 2, "three trials, and no more processes than workers"
