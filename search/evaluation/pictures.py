"""Pictures of a model's test: the confusion matrix, the reliability curve, the mistakes it was surest of.

matplotlib is imported when a picture is drawn.
"""

from __future__ import annotations

import io
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.results.report.literal_texts import literal_texts
from toprung.trainables.metrics.intervals import share_interval
from toprung.trainables.saved_model.predictions import Predictions, label_texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from toprung.trainables.metrics.classification import Evaluation

NAMED_CLASSES, NUMBERED_CLASSES = 60, 25
MISTAKES, COLUMNS = 24, 6
NAME_CHARS = 18
INK, FAINT, BLUE, RED = "#1c1c1c", "#8a8a8a", "#2b6cb0", "#c0392b"
DPI = 110


@literal_texts()
def confusion_picture(evaluation: Evaluation, classes: Sequence[str]) -> bytes:
    """The share of each class's images that is taken for each class, as PNG.

    In a multilabel task the columns say how often a label is there and seen, there and missed, seen where it is not,
    and rightly not seen.
    """
    counts = evaluation.confusion
    is_multilabel = counts.ndim == 3
    if is_multilabel:
        counts = np.stack([counts[:, 1, 1], counts[:, 1, 0], counts[:, 0, 1], counts[:, 0, 0]], axis=1)
        totals = np.stack([counts[:, :2].sum(axis=1)] * 2 + [counts[:, 2:].sum(axis=1)] * 2, axis=1)
    else:
        totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    columns = ["seen", "missed", "wrongly seen", "rightly not seen"] if is_multilabel else list(classes)
    side = 2.6 + 0.34 * min(len(classes), NAMED_CLASSES)
    figure = _figure((max(4.2, 2.8 + 0.9 * 4) if is_multilabel else side + 0.6, side))
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto" if is_multilabel else "equal")
    figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03, label="share of the row's images")
    _name_axis(axes, "y", classes, "class")
    _name_axis(axes, "x", columns, "" if is_multilabel else "predicted class")
    if len(classes) <= NUMBERED_CLASSES:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                color = "white" if shares[row, column] > 0.5 else INK
                axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=color)
    axes.set_title(f"{len(evaluation.labels)} test images", fontsize=10, color=INK)
    return _png(figure)


def reliability_picture(calibration: Mapping[str, Any]) -> bytes:
    """How often the model is right for how sure it is, as PNG; from the report's `calibration`."""
    bins = [each for each in calibration["bins"] if each["count"]]
    figure = _figure((5.2, 5.6))
    axes, below = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle="--", label="as sure as it is right")
    confidence, accuracy = [each["confidence"] for each in bins], [each["accuracy"] for each in bins]
    ranges = [share_interval(each["accuracy"] * each["count"], each["count"]) for each in bins]
    lower = [max(0.0, value - each.low) for value, each in zip(accuracy, ranges, strict=True)]
    upper = [max(0.0, each.high - value) for value, each in zip(accuracy, ranges, strict=True)]
    label = "the model, with 95% intervals"
    axes.errorbar(
        confidence, accuracy, (lower, upper), fmt="o", color=BLUE, markersize=5, linewidth=1, label=label
    )
    axes.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share that is right")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    after, before = calibration["after"], calibration["before"]
    title = f"calibration error {after['calibration_error']:.3f}"
    if calibration["temperature"] != 1.0:
        title += f" ({before['calibration_error']:.3f} before calibration)"
    axes.set_title(title, fontsize=10, color=INK)
    width = bins[0]["high"] - bins[0]["low"] if bins else 0.1
    below.bar(
        [each["low"] + width / 2 for each in bins], [each["count"] for each in bins], width * 0.9, color=BLUE
    )
    below.set(xlabel="confidence", ylabel="predictions", xlim=(0, 1))
    return _png(figure)


@literal_texts()
def mistakes_picture(evaluation: Evaluation, images: np.ndarray, classes: Sequence[str]) -> bytes:
    """The wrong predictions that the model is surest of, with their images, as PNG.

    Args:
        evaluation: Of N images.
        images: uint8 (N, H, W, C), in the same order; only those that are drawn are read.
        classes: The class names.
    """
    said = Predictions(evaluation.predictions, evaluation.probabilities)
    is_wrong = (
        np.asarray(evaluation.predictions != evaluation.labels)
        .reshape(len(evaluation.labels), -1)
        .any(axis=1)
    )
    wrong = np.flatnonzero(is_wrong)
    shown = wrong[np.argsort(-said.confidence[wrong], kind="stable")][:MISTAKES]
    rows = max(1, -(-len(shown) // COLUMNS))
    figure = _figure((COLUMNS * 1.75, 0.7 + rows * 2.15))
    title = f"the {len(shown)} surest of {len(wrong)} mistakes on {len(evaluation.labels)} test images"
    title += "\nabove each image its label, in red what the model says and how sure it is"
    figure.suptitle(
        title if len(wrong) else f"no mistake on {len(evaluation.labels)} test images", fontsize=10
    )
    truth, predicted = (
        label_texts(np.asarray(labels), classes) for labels in (evaluation.labels, said.labels)
    )
    for place, row in enumerate(shown.tolist()):
        axes = figure.add_subplot(rows, COLUMNS, place + 1)
        image = np.asarray(images[row])
        axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
        axes.set(xticks=[], yticks=[])
        axes.set_title(_short(truth[row] or "none"), fontsize=8, color=INK, pad=3)
        text = f"{_short(predicted[row] or 'none')}\n{said.confidence[row]:.2f}, image {row}"
        axes.set_xlabel(text, fontsize=8, color=RED, labelpad=3)
    return _png(figure)


def _figure(size: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


def _png(figure: Figure) -> bytes:
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=DPI, bbox_inches="tight")
    return sink.getvalue()


def _name_axis(axes: Axes, which: str, names: Sequence[str], label: str) -> None:
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_label_text(label)
    if len(names) > NAMED_CLASSES:
        return
    axis.set_ticks(range(len(names)), [_short(name) for name in names], fontsize=8)
    if which == "x" and max(map(len, names)) > 2:
        for text in axis.get_ticklabels():
            text.set(rotation=60, ha="right", rotation_mode="anchor")


def _short(name: str) -> str:
    return (
        shorten(name, NAME_CHARS, placeholder="…")
        if len(name) > NAME_CHARS and " " in name
        else name[:NAME_CHARS]
    )
