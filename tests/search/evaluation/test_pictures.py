"""The pictures of a test hold the names of the classes as they are, whatever stands in them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from toprung.search.evaluation.pictures import confusion_picture, mistakes_picture, reliability_picture
from toprung.search.evaluation.scores import Calibration, ScoredModel
from toprung.trainables.metrics.classification import ClassificationEvaluation

ODD = {
    "formulas": ("$5", r"$\frac_$", "a_$1$"),
    "other scripts": ("猫", "собака", "قطة"),
    "spaces and lines": (" ", "two\nlines", "x" * 200),
    "markup": ("<b>|", "**", "`"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("classes", ODD.values(), ids=ODD)
def test_any_class_name_can_be_drawn(classes: tuple[str, ...]) -> None:
    labels = np.arange(12, dtype=np.int32) % 3
    logits = np.eye(3, dtype=np.float32)[(labels + (np.arange(12) > 5)) % 3]
    tested = ClassificationEvaluation.from_logits(logits, labels)
    report = ScoredModel("softmax", classes, tested, tested, labels, Calibration()).as_json()
    images = np.zeros((12, 8, 8, 1), np.uint8)
    for picture in (
        confusion_picture(tested, classes),
        mistakes_picture(tested, images, classes),
        reliability_picture(report["calibration"]),
    ):
        with Image.open(io.BytesIO(picture)) as drawn:
            assert min(drawn.size) > 300
