"""The winner on the test set: its mistakes by class, from the report of a retraining."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from toprung.results.report.charts.chart import Axis, Chart, Series

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.results.report.charts.run_view import RunView

MOST_CLASSES = 40


def test_interval(accuracy: float, images: int) -> tuple[float, float]:
    """The 95% interval of an accuracy over so many test images (Wilson 1927): other images of the same kind."""
    z, n = 1.959964, max(1, images)
    centre = (accuracy + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(accuracy * (1 - accuracy) / n + z * z / (4 * n * n))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def winner_charts(view: RunView) -> Iterator[Chart]:
    """The accuracy of each class on the test set, and what was taken for what."""
    report = view.job.retrained
    if report is None or report["test_accuracy"] is None:
        return
    known = [(name, value) for name, value in report["test_accuracy_per_class"].items() if value is not None]
    per_class = sorted(known, key=lambda item: item[1])[:MOST_CLASSES]
    rows = [float(i) for i in range(len(per_class))]
    bars = Series("accuracy", "bars", np.zeros(len(rows)), rows, [value for _, value in per_class])
    names = Axis("", names=tuple(name for name, _ in per_class))
    note = "The retrained winner on test images, the weakest classes first."
    height = 60 + 22 * max(2, len(rows))
    yield Chart("classes", "Test accuracy by class", note, Axis("accuracy"), names, (bars,), height)
    counts = report.get("test_confusion")
    if counts is None or len(counts) > MOST_CLASSES:
        return
    matrix = np.array(counts, dtype=float)
    if matrix.ndim != 2:
        return
    shares = matrix / np.maximum(1.0, matrix.sum(axis=1, keepdims=True))
    true, taken = np.indices(matrix.shape)
    labels = [f"{int(count)} images" for count in matrix.ravel()]
    heat = Series("share of the class", "heat", taken.ravel(), true.ravel(), shares.ravel(), labels=labels)
    classes = tuple(map(str, report["classes"]))
    axes = Axis("taken for", names=classes), Axis("class", names=classes)
    note = "Each row is a class of test images, and what they were taken for."
    yield Chart("mistakes", "Mistakes on the test set", note, *axes, (heat,), height=340)
