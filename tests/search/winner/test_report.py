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
from toprung.search.commands.models.retrained_output import show_retrained
from toprung.search.evaluation.card import model_card
from toprung.search.evaluation.scores import Calibration, ScoredModel
from toprung.search.retrained.champion import Decision
from toprung.search.retrained.json_files import put_json
from toprung.search.retrained.kept_models import KeptModel, ModelFolder
from toprung.search.runs.run_folder import RunFolder
from toprung.search.winner.report import ReadBack, SealedTest, TrainedBy, report_of
from toprung.search.winner.retrain import Retrained
from toprung.spaces.user_code.source_files import SourceFile
from toprung.trainables.metrics.classification import ClassificationEvaluation
from toprung.trainables.saved_model.description import ModelDescription
from toprung.trainables.trial.report import Outcome

ABOUT = ModelDescription(
    "t00001-s7", "run", "t00001", ("a", "b", "c"), "softmax", (4, 4, 3), "pad", 1.5, "f" * 64, "e" * 64, "0.1.0",
    SourceFile("cnn"),
)  # fmt: skip


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
    folder = ModelFolder(RunFolder("run"), "t00001-s7")
    plan = SimpleNamespace(seed=7, schedule_epochs=9)
    work: Any = SimpleNamespace(
        winner=winner, run_name="run", epochs=3, plan=plan, model_folder=folder, calibrate=True
    )
    calibration = Calibration(1.5, 4, {"accuracy": 0.75, "loss": math.nan})
    test = None
    if labels:
        logits = np.eye(3, dtype=np.float32)[labels]
        truth = np.array(labels, np.int32)
        found = ClassificationEvaluation.from_logits(logits, truth)
        details = ScoredModel("softmax", data.classes, found, found, truth, calibration).as_json()
        test = SealedTest(found, details, ["2026-01-01"])
    by = TrainedBy("node", "cpu", 10, ReadBack(4, 1e-6, 1e-3), calibration)
    return report_of(work, data, test, by, ABOUT)


def shown(made: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    kept = KeptModel(ModelFolder(RunFolder(str(folder)), made["model"]), made)
    decision = Decision(made["model"], "champion", "the first model of this run", False, "2026-01-01")
    show_retrained(Retrained(kept, decision, is_new=True))
    return capsys.readouterr().out


def test_without_test_images_nothing_was_tested(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = report(0)
    assert made["test_accuracy"] is None and made["test_reads"] == [] and made["test_images"] == 0
    assert made["evaluation"] is None and made["validation"]["accuracy"] == 0.75
    assert "nothing was tested: the job has no test images" in shown(made, tmp_path, capsys)
    assert "It was not tested" in model_card(made, ABOUT)


def test_a_class_without_test_images_has_no_accuracy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = report(4, [0, 0, 1, 1])
    assert made["test_accuracy"] == 1.0
    assert made["test_accuracy_per_class"] == {"a": 1.0, "b": 1.0, "c": None}
    lines = shown(made, tmp_path, capsys)
    assert "weakest classes by F1: a 1.000 (2 images), b 1.000 (2 images)" in lines
    assert "without a test image: c" in lines
    card = model_card(made, ABOUT)
    assert "| accuracy | 1.0000 (95% interval" in card and "nan" not in card and "None" not in card


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
