"""A model's predictions as a table: one row for each image, what it is, what the model says and how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from toprung.trainables.metrics.per_class import image_scores
from toprung.trainables.saved_model.predictions import Predictions, label_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.trainables.metrics.classification import Evaluation

PROBABILITY, SCORE = "probability/", "score"


def tested_table(
    evaluation: Evaluation, classes: Sequence[str], files: Sequence[str], split: str = "test"
) -> pd.DataFrame:
    """The predictions on a split: split, index, file, label, predicted, score, confidence, `probability/CLASS`.

    `index` is the image's place in the split, `file` what it is called in its source: a file relative to `data.path`,
    or a file and a row. Several labels of an image are joined by " + "; `score` is 1 where the
    prediction is right, 0 where it is wrong, and of several labels the share that is right.
    """
    said = Predictions(evaluation.predictions, evaluation.probabilities)
    labels = np.asarray(evaluation.labels)
    rows = predicted_table(said, classes)
    truth = label_texts(labels, classes)
    rows.insert(0, "split", [split] * len(rows))
    rows.insert(1, "index", np.arange(len(rows)))
    rows.insert(2, "file", [_writable(name) for name in files])
    rows.insert(3, "label", truth)
    rows.insert(5, SCORE, image_scores(labels, evaluation.predictions))
    return rows


def predicted_table(said: Predictions, classes: Sequence[str]) -> pd.DataFrame:
    """predicted, confidence, and every probability as `probability/CLASS`."""
    head = {"predicted": label_texts(said.labels, classes), "confidence": said.confidence}
    each = {f"{PROBABILITY}{name}": said.probabilities[:, number] for number, name in enumerate(classes)}
    return pd.DataFrame({**head, **each})


def _writable(name: str) -> str:
    # A file name that is not UTF-8 has characters that no Parquet file holds.
    return name.encode("utf-8", "backslashreplace").decode()
