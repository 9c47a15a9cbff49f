"""The report of a retraining says what was tested, and null where nothing was."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from toprung.results.analysis.winner import Winner
from toprung.search.commands.output import show_retrained
from toprung.search.runs.run_folder import RunFolder
from toprung.search.winner.json_files import put_json
from toprung.search.winner.report import REPORT_FILE, SealedTest, TrainedBy, put_report, report_of
from toprung.search.winner.retrain import Retrained
from toprung.trainables.metrics.classification import ClassificationEvaluation
from toprung.trainables.trial.report import Outcome


def report(test_images: int, labels: list[int] | None = None) -> dict[str, Any]:
    winner = Winner(
        "t00001", {"width": 8}, 7, "val_accuracy", 0.9, 3, 9, 3, Outcome.COMPLETED, "best", None, None
    )
    data = SimpleNamespace(
        counts={"train": 8, "val": 4, "test": test_images},
        classes=("a", "b", "c"),
        task_type="softmax",
        image_shape=(4, 4, 3),
        fingerprint="f" * 64,
    )
    work: Any = SimpleNamespace(winner=winner, run_name="run", epochs=3)
    test = None
    if labels:
        logits = np.eye(3, dtype=np.float32)[labels]
        test = SealedTest(ClassificationEvaluation.from_logits(logits, np.array(labels)), ["2026-01-01"])
    return report_of(work, data, test, TrainedBy("node", "cpu", 10))


def shown(made: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    show_retrained(Retrained(RunFolder(str(folder)), made, is_new=True))
    return capsys.readouterr().out


def test_without_test_images_nothing_was_tested(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = report(0)
    assert made["test_accuracy"] is None and made["test_reads"] == [] and made["test_images"] == 0
    assert "nothing was tested: the job has no test images" in shown(made, tmp_path, capsys)


def test_a_class_without_test_images_has_no_accuracy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = report(4, [0, 0, 1, 1])
    assert made["test_accuracy"] == 1.0
    assert made["test_accuracy_per_class"] == {"a": 1.0, "b": 1.0, "c": None}
    lines = shown(made, tmp_path, capsys)
    assert "weakest classes a 1.000, b 1.000" in lines and "without a test image: c" in lines


def test_a_number_that_is_not_finite_is_null_in_json(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path))
    put_json(folder, "x.json", {"a": math.nan, "b": [math.inf, 1.5, {"c": -math.inf}], "d": "NaN"})
    assert json.loads((tmp_path / "x.json").read_text()) == {
        "a": None,
        "b": [None, 1.5, {"c": None}],
        "d": "NaN",
    }
    put_report(folder, report(4, [0, 0, 1, 1]))
    assert "NaN" not in (tmp_path / REPORT_FILE).read_text()
