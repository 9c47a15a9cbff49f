"""What a model does with each class: precision, recall, F1, the classes it confuses, and what guessing would score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toprung.trainables.metrics.classification import area_under_curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.trainables.metrics.classification import Evaluation


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class against the rest.

    Attributes:
        name: The class.
        support: Number of images that have it.
        predicted: Number of images that are said to have it.
        precision: The share of `predicted` that have it; None without any.
        recall: The share of `support` that are said to have it; None without any.
        f1: The harmonic mean of both; None where no image has it or is said to.
        auc: The area under the ROC curve; None where all images have it or none.
    """

    name: str
    support: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None
    auc: float | None


@dataclass(frozen=True)
class MeanScores:
    """Means over the classes that occur in the labels or in the predictions; what a class lacks counts as 0."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Confusion:
    """Images of a class that are taken for another; `share` of all images of that class.

    In a multilabel task `predicted` is "not LABEL" for a label that was missed, and `label` is "not LABEL" for one that
    was seen where it is not.
    """

    label: str
    predicted: str
    count: int
    share: float


def class_scores(evaluation: Evaluation, classes: Sequence[str]) -> list[ClassScores]:
    """The scores of each class, in the order of the classes; of any type of task."""
    has = indicator(evaluation.labels, len(classes))
    said = indicator(evaluation.predictions, len(classes))
    return [
        _scores(name, has[:, number], said[:, number], evaluation.ranks[:, number])
        for number, name in enumerate(classes)
    ]


def macro(scores: Sequence[ClassScores]) -> MeanScores:
    """The plain means over the classes."""
    return _means(scores, [1.0] * len(scores))


def weighted(scores: Sequence[ClassScores]) -> MeanScores:
    """The means over the classes weighed by their support."""
    return _means(scores, [float(each.support) for each in scores])


def worst_confusions(evaluation: Evaluation, classes: Sequence[str], count: int) -> list[Confusion]:
    """The most frequent mistakes, at most `count`, most images first."""
    confusion = evaluation.confusion
    if confusion.ndim == 3:
        found = list(_label_mistakes(confusion, classes))
    else:
        totals = confusion.sum(axis=1)
        found = [
            Confusion(
                classes[row],
                classes[column],
                int(confusion[row, column]),
                float(confusion[row, column] / totals[row]),
            )
            for row, column in np.argwhere(confusion > 0).tolist()
            if row != column
        ]
    return sorted(found, key=lambda each: (-each.count, -each.share, each.label, each.predicted))[:count]


def constant_accuracy(labels: np.ndarray, guess_from: np.ndarray) -> float:
    """The accuracy of always giving the label that is most frequent in `guess_from`.

    Args:
        labels: Of the scored images, (N,), or 0 and 1 for each class, (N, classes).
        guess_from: Of the images trained on, in the same form.
    """
    if labels.ndim == 1:
        return float((labels == np.bincount(guess_from).argmax()).mean())
    rows, counts = np.unique(guess_from, axis=0, return_counts=True)
    return float((labels == rows[counts.argmax()]).all(axis=1).mean())


def top_k_accuracy(evaluation: Evaluation, count: int) -> float:
    """The share of images whose label is among the `count` most probable classes, ties broken by class number."""
    order = np.argsort(-evaluation.logits, axis=1, kind="stable")[:, :count]
    return float((order == evaluation.labels[:, None]).any(axis=1).mean())


def image_scores(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """The score of each image, float64 (N,): 1 where it is right; in a multilabel task the share of right labels."""
    is_right = (np.asarray(labels) == np.asarray(predictions)).astype(np.float64)
    return is_right if is_right.ndim == 1 else np.asarray(is_right.mean(axis=1))


def indicator(labels: np.ndarray, classes: int) -> np.ndarray:
    """Bool (N, classes) from class numbers (N,) or from 0 and 1 for each class (N, classes)."""
    array = np.asarray(labels)
    return np.asarray(array > 0 if array.ndim == 2 else np.arange(classes) == array[:, None])


def _scores(name: str, has: np.ndarray, said: np.ndarray, ranks: np.ndarray) -> ClassScores:
    both, support, predicted = int((has & said).sum()), int(has.sum()), int(said.sum())
    return ClassScores(
        name,
        support,
        predicted,
        both / predicted if predicted else None,
        both / support if support else None,
        2 * both / (support + predicted) if support + predicted else None,
        area_under_curve(ranks, has),
    )


def _means(scores: Sequence[ClassScores], weights: Sequence[float]) -> MeanScores:
    occurring = [
        (each, weight) for each, weight in zip(scores, weights, strict=True) if each.support or each.predicted
    ]
    total = sum(weight for _, weight in occurring)

    def mean(name: str) -> float:
        values = [(getattr(each, name) or 0.0) * weight for each, weight in occurring]
        return sum(values) / total if total else 0.0

    return MeanScores(mean("precision"), mean("recall"), mean("f1"))


def _label_mistakes(confusion: np.ndarray, classes: Sequence[str]) -> list[Confusion]:
    found = []
    for name, counts in zip(classes, confusion, strict=True):
        without, having = counts.sum(axis=1)
        if counts[1, 0]:
            found.append(Confusion(name, f"not {name}", int(counts[1, 0]), float(counts[1, 0] / having)))
        if counts[0, 1]:
            found.append(Confusion(f"not {name}", name, int(counts[0, 1]), float(counts[0, 1] / without)))
    return found
