"""A worker on another machine trains on the images of the user's own function, whose file only the driver has."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from toprung.spaces.user_code.source_files import pack_source
from toprung.trainables.data.dataset import DataSpec, load
from toprung.trainables.worker.plan import Rules, TrialPlan

pytestmark = pytest.mark.slow

IMAGES = """
import numpy as np

def images():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    return (rng.integers(0, 100, (60, 8, 8, 1)) + 100 * labels[:, None, None, None]).astype(np.uint8), labels
"""
WORKER = """
import pickle, sys, tempfile
from pathlib import Path
tempfile.tempdir = str(Path.cwd())
from toprung.trainables.worker.checkpoints import CheckpointStore
from toprung.trainables.worker.trainer_source import CachedTrainerSource
from toprung.trainables.trial.messages import TrialStart
from toprung.trainables.worker.trial_runner import TrialRunner
plan, config = pickle.loads(Path(sys.argv[1]).read_bytes())
run = TrialRunner(CachedTrainerSource(plan), CheckpointStore("checkpoints"), plan.rules)
run.begin(TrialStart("t00000", 0, 0, config))
result = run.step()
run.end()
print(result.error or f"epoch {result.report.epoch}: {result.report.metrics['val_accuracy']}")
"""


def test_the_function_travels_and_its_images_are_those_of_the_driver(tmp_path: Path, config: dict) -> None:
    here, there = tmp_path / "driver", tmp_path / "worker"
    here.mkdir(), there.mkdir()
    file = here / "my_images.py"
    file.write_text(IMAGES)
    spec = DataSpec(f"{file}:images")
    rules = Rules(max_epochs=2, data_fingerprint=load(spec, here / "cache").fingerprint)
    source = pack_source(spec.source, "data.source")
    plan = TrialPlan(spec, source, pack_source("cnn"), str(there / "checkpoints"), rules, 1, 0)
    (there / "plan").write_bytes(pickle.dumps((plan, config)))
    file.unlink()
    decoded = []
    for _ in range(2):  # the second process of the node finds what the first one decoded
        done = subprocess.run(
            [sys.executable, "-c", WORKER, "plan"],
            cwd=there,
            env={**os.environ, "TOPRUNG_CACHE": str(there / "cache")},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )  # fmt: skip
        assert done.stdout.startswith("epoch 1: "), done.stdout
        decoded.append(
            {file.name: file.stat().st_mtime_ns for file in (there / "cache").iterdir() if file.is_dir()}
        )
    assert len(decoded[0]) == 1
    assert decoded[0] == decoded[1]


def test_a_source_file_that_is_not_there_is_told_where_the_job_names_it() -> None:
    from toprung.spaces.errors import InputError

    with pytest.raises(InputError, match=r"data\.source: cannot read nowhere\.py"):
        pack_source("nowhere.py:images", "data.source")
