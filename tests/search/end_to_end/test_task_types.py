"""A search on images with several labels each, from the job to the model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toprung.search.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def digits_with_labels(path: Path) -> Path:
    """scikit-learn's digits, 8x8, and of each whether it is even, is above four, has a loop."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    numbers = digits.target
    labels = np.stack([numbers % 2 == 0, numbers > 4, np.isin(numbers, [0, 6, 8, 9])], axis=1)
    images = (digits.images * 15.9).astype(np.uint8)
    np.savez(path, images=images, labels=labels.astype(int), classes=np.array(["even", "above four", "loop"]))
    return path


def test_several_labels_an_image_are_searched_and_the_winner_is_shipped(
    on_cluster, job_file, tmp_path: Path, capsys
) -> None:
    path = digits_with_labels(tmp_path / "digits.npz")
    job = job_file(
        data={"source": "npz", "path": str(path)},
        search={"trials": 2, "max_epochs": 3, "metric": "val_macro_f1"},
    )
    assert main(["check", str(job)]) == 0
    assert "8x8x1, 3 classes, multilabel" in capsys.readouterr().out
    ended = on_cluster("search", job).wait()
    assert ended.returncode == 0, ended.stderr
    run = tmp_path / "runs" / "small"
    trials, epochs = pd.read_parquet(run / "trials"), pd.read_parquet(run / "epochs")
    assert set(trials["outcome"]) <= {"COMPLETED", "STOPPED"}, trials[["outcome", "error"]]
    assert (epochs["val_label_accuracy"] > epochs["val_accuracy"]).all()
    trained = on_cluster("retrain", run).wait()
    assert trained.returncode == 0, trained.stderr
    report = json.loads((run / "retrain" / "report.json").read_text())
    assert report["task"] == "multilabel"
    assert report["test_scores"]["label_accuracy"] > 0.8
    assert np.asarray(report["test_confusion"]).shape == (3, 2, 2)
    assert np.asarray(report["test_confusion"]).sum() == 3 * report["test_images"]
