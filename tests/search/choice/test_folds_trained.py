"""`data.folds` from the command to the model: every part validates in turn, and the test images stay sealed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from confirmed_runs import FAMILY, written

from toprung.search.jobs.schema import Job
from toprung.search.runs.run_folder import RunFolder
from toprung.trainables.data.dataset import load
from toprung.trainables.trial.report import Outcome

FOLDS = 2


@pytest.mark.slow
def test_the_finalists_are_cross_validated_and_the_best_of_them_is_retrained(
    on_cluster: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "folded_family.py").write_text(FAMILY)
    content = {
        "name": "few",
        "data": {"source": "digits", "max_train_images": 120},
        "space": f"{tmp_path / 'folded_family.py'}:Tenths",
        "search": {"max_epochs": 2},
        "storage": {"path": str(tmp_path)},
        "tracking": {"enabled": False},
        "retrain": {"calibrate": False},
    }
    job = Job.from_dict(content, "job")
    run, whole = RunFolder(job.run_root), load(job.data_spec())
    searched = [({"learning_rate": 0.9}, [0.2, 0.9], Outcome.COMPLETED),
                ({"learning_rate": 0.1}, [0.2, 0.8], Outcome.COMPLETED)]  # fmt: skip
    written(run, job, searched, whole.fingerprint)

    settings = [f"data.folds={FOLDS}", "retrain.confirm=2"]
    ended = on_cluster("retrain", run.root, *(part for one in settings for part in ("--set", one))).wait()
    assert ended.returncode == 0, ended.stderr
    assert (
        "fold 1 of 2" in ended.stdout + ended.stderr and "means over the folds" in ended.stdout + ended.stderr
    )

    folders = sorted((Path(run.root) / "confirm").iterdir())
    trials = [pd.read_parquet(folder / "trials") for folder in folders]
    assert [len(each) for each in trials] == [2] * FOLDS
    assert all((each["outcome"] == "COMPLETED").all() for each in trials)
    parts = [load(RunFolder(str(folder)).job().data_spec()) for folder in folders]
    assert len({part.fingerprint for part in parts}) == FOLDS
    assert sum(part.counts["val"] for part in parts) == whole.counts["train"] + whole.counts["val"]
    assert {part.counts["test"] for part in parts} == {whole.counts["test"]}

    report = json.loads((Path(run.root) / "retrain" / "report.json").read_text())
    means = {mean["trial_id"]: mean for mean in report["winner"]["confirmed"]}
    assert means.keys() == {"t00000", "t00001"} and {mean["seeds"] for mean in means.values()} == {FOLDS}
    assert report["trial_id"] == max(means, key=lambda name: means[name]["score"])
    assert len(report["test_reads"]) == 1, "the folds have not read it"
