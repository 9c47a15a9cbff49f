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
from toprung.search.commands.retrained_output import show_retrained
from toprung.search.evaluation.test_scores import Calibration, TestedModel
from toprung.search.runs.run_folder import RunFolder
from toprung.search.winner.champion import CHAMPION, Decision
from toprung.search.winner.json_files import put_json
from toprung.search.winner.kept_models import KeptModel, ModelFolder
from toprung.search.winner.report import ReadBack, SealedTest, TrainedBy, report_of
from toprung.search.winner.retrain import Retrained
from toprung.spaces.user_code.source_files import pack_source
from toprung.trainables.metrics.classification import ClassificationEvaluation
from toprung.trainables.trial.report import Outcome

CLASSES = ("a", "b", "c")


def report(test_images: int, labels: list[int] | None = None) -> dict[str, Any]:
    winner = Winner(
        "t00001", {"width": 8}, 7, "val_accuracy", 0.9, 3, 9, 3, Outcome.COMPLETED, "best", None, None
    )
    counts = {"train": 8, "val": 4, "test": test_images}
    data: Any = SimpleNamespace(
        counts=counts, classes=CLASSES, task_type="softmax", image_shape=(4, 4, 3), fingerprint="f" * 64
    )
    work: Any = SimpleNamespace(
        winner=winner,
        run_name="run",
        epochs=3,
        calibrate=False,
        model_folder=SimpleNamespace(name="t00001-s7"),
        plan=SimpleNamespace(seed=7),
    )
    about: Any = SimpleNamespace(training_fingerprint="t" * 64, toprung_version="1", code=pack_source("cnn"))
    test = None
    if labels:
        logits = np.eye(3, dtype=np.float32)[labels]
        evaluation = ClassificationEvaluation.from_logits(logits, np.array(labels))
        trained_on = np.array([0, 1, 2] * 4)
        tested = TestedModel("softmax", CLASSES, evaluation, evaluation, trained_on, Calibration())
        test = SealedTest(evaluation, tested.as_json(), ["2026-01-01"])
    trained = TrainedBy("node", "cpu", 10, ReadBack(8, 0.0, 1e-5), Calibration())
    return report_of(work, data, test, trained, about)


def shown(made: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    model = KeptModel(ModelFolder(RunFolder(str(folder)), "t00001-s7"), made)
    show_retrained(
        Retrained(
            model,
            Decision("t00001-s7", CHAMPION, "the first one", promoted=False, decided_at="2026-01-01"),
            is_new=True,
        )
    )
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
    assert "weakest classes by F1: a 1.000 (2 images), b 1.000 (2 images)" in lines
    assert "without a test image: c" in lines


def test_a_number_that_is_not_finite_is_null_in_json(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path))
    put_json(folder, "x.json", {"a": math.nan, "b": [math.inf, 1.5, {"c": -math.inf}], "d": "NaN"})
    assert json.loads((tmp_path / "x.json").read_text()) == {
        "a": None,
        "b": [None, 1.5, {"c": None}],
        "d": "NaN",
    }
    put_json(folder, "report.json", report(4, [0, 0, 1, 1]))
    assert "NaN" not in (tmp_path / "report.json").read_text()
