"""The test of the winner's saved file, and everything that is kept of it in its folder; the report comes last."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from toprung.search.evaluation.card import model_card
from toprung.search.evaluation.pictures import confusion_picture, mistakes_picture, reliability_picture
from toprung.search.evaluation.prediction_table import tested_table
from toprung.search.evaluation.scores import ScoredModel
from toprung.search.retrained.json_files import put_json, record_test_read
from toprung.search.retrained.kept_models import CARD, FOLDER, MODEL, PREDICTIONS, REPORT
from toprung.search.winner.report import SealedTest, report_of
from toprung.trainables.metrics.from_probabilities import evaluation_of
from toprung.trainables.saved_model.loading import LoadedModel

if TYPE_CHECKING:
    from pathlib import Path

    from toprung.search.retrained.json_files import Report
    from toprung.search.winner.report import TrainedBy
    from toprung.search.winner.winner_training import WinnerTraining
    from toprung.trainables.worker.retraining import Retraining


def keep_model(work: WinnerTraining, training: Retraining, path: Path, by: TrainedBy) -> Report:
    """Read the test set once, if there is one, and keep the file, its predictions, pictures, card and report.

    Args:
        work: The run and the winner.
        training: The trained winner, which scores the images once more without calibration.
        path: The saved file; what is reported is what it answers.
        by: How it was made.
    """
    data, folder = training.dataset, work.model_folder
    loaded = LoadedModel.load(path)
    test = _test(work, training, loaded, by) if data.counts["test"] else None
    report = report_of(work, data, test, by, loaded.description)
    folder.put(MODEL, path.read_bytes())
    if test:
        sink = io.BytesIO()
        tested_table(test.evaluation, data.classes, data.names("test")).to_parquet(sink, index=False)
        folder.put(PREDICTIONS, sink.getvalue())
        folder.put("confusion.png", confusion_picture(test.evaluation, data.classes))
        folder.put("reliability.png", reliability_picture(test.details["calibration"]))
        folder.put("mistakes.png", mistakes_picture(test.evaluation, data.test().images, data.classes))
    folder.put(CARD, model_card(report, loaded.description).encode())
    put_json(work.folder, f"{FOLDER}/{folder.name}/{REPORT}", report)
    return report


def _test(work: WinnerTraining, training: Retraining, loaded: LoadedModel, by: TrainedBy) -> SealedTest:
    """What the file says about the test images, whose reading is recorded before."""
    data = training.dataset
    reads = record_test_read(work.folder)
    test = data.test()
    labels = np.asarray(test.labels)
    uncalibrated = training.evaluate(test)
    logits = uncalibrated.logits / by.calibration.temperature
    probabilities = loaded.predict(test.images).probabilities
    evaluation = evaluation_of(probabilities, labels, data.task_type, logits)
    trained_on = np.concatenate([np.asarray(data.train().labels), np.asarray(data.val().labels)])
    tested = ScoredModel(data.task_type, data.classes, uncalibrated, evaluation, trained_on, by.calibration)
    return SealedTest(evaluation, tested.as_json(), reads)
