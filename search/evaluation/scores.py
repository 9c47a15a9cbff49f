"""The numbers of a model's test, as they stand in `report.json` under `evaluation`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.trainables.metrics.intervals import share_interval
from toprung.trainables.metrics.per_class import (
    class_scores,
    constant_accuracy,
    image_scores,
    macro,
    top_k_accuracy,
    weighted,
    worst_confusions,
)
from toprung.trainables.metrics.reliability import reliability
from toprung.trainables.task.task_type import MULTILABEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.trainables.metrics.classification import Evaluation

TOP_KS = (1, 2, 3, 5)
CONFUSIONS = 20


@dataclass(frozen=True)
class Calibration:
    """How sure the model is made.

    Attributes:
        temperature: What its logits are divided by; 1 where it was not calibrated.
        fitted_on: The number of held-out images that the temperature was fitted on; 0 for none.
        held_out: The scores on them of the model trained without them; empty for none.
    """

    temperature: float = 1.0
    fitted_on: int = 0
    held_out: dict[str, float] | None = None


@dataclass(frozen=True)
class ScoredModel:
    """A model's answers to the test images, and what they are compared with.

    Attributes:
        task: See `trainables.task.task_type`.
        classes: The class names.
        uncalibrated: The trained model's evaluation.
        saved: That of the saved file, calibrated.
        train_labels: Of the images it was trained on.
        calibration: How sure it was made.
    """

    task: str
    classes: Sequence[str]
    uncalibrated: Evaluation
    saved: Evaluation
    train_labels: np.ndarray
    calibration: Calibration

    def as_json(self) -> dict[str, Any]:
        """The whole evaluation; a number that is not defined is None."""
        saved, scores = self.saved, self.saved.scores
        per_class = class_scores(saved, self.classes)
        right = image_scores(saved.labels, saved.predictions)
        interval = share_interval(float((right == 1.0).sum()), len(right))
        return {
            "images": len(right),
            "accuracy": {"value": saved.accuracy, **asdict(interval), "confidence": 0.95},
            "top_k": self._top_k(),
            "balanced_accuracy": scores["balanced_accuracy"],
            "auc": scores["auc"],
            "loss": saved.loss,
            "macro": asdict(macro(per_class)),
            "weighted": asdict(weighted(per_class)),
            "classes": [asdict(each) for each in per_class],
            "confusions": [asdict(each) for each in worst_confusions(saved, self.classes, CONFUSIONS)],
            "constant_accuracy": constant_accuracy(np.asarray(saved.labels), np.asarray(self.train_labels)),
            "calibration": self._calibration(),
            "validation": self.calibration.held_out,
        }

    def _top_k(self) -> dict[str, float] | None:
        if self.task == MULTILABEL:
            return None
        return {str(k): top_k_accuracy(self.saved, k) for k in TOP_KS if k < len(self.classes)}

    def _calibration(self) -> dict[str, Any]:
        return {
            "temperature": self.calibration.temperature,
            "fitted_on_images": self.calibration.fitted_on,
            "before": _sureness(self.uncalibrated),
            "after": _sureness(self.saved),
            "bins": [asdict(each) for each in reliability(self.saved, self.task)],
        }


def _sureness(evaluation: Evaluation) -> dict[str, float]:
    return {"loss": evaluation.loss, "calibration_error": evaluation.scores["calibration_error"]}
