"""A logistic regression on a frozen network's features, for accuracy.py: what fine-tuning has to beat."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.trainables.data.dataset import Dataset

REGULARIZATIONS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


def logistic_regression(data: Dataset, config: Mapping[str, Any]) -> tuple[float, float]:
    """A logistic regression on the features of the frozen network of a `transfer` configuration, images as they are.

    Its penalty is chosen on the validation images; then it is fitted on train and validation.

    Returns:
        Test accuracy, and the seconds of all of it.
    """
    from sklearn.linear_model import LogisticRegression

    from toprung.trainables.models.pretrained import backbone, preprocess

    began = time.perf_counter()
    inputs = keras.Input(data.image_shape)
    body = backbone({"alpha": 1.0, **config}, data.image_shape)
    pooled = keras.layers.GlobalAveragePooling2D()(body(preprocess(config["backbone"], inputs)))
    network = keras.Model(inputs, pooled)
    train, val, test = (
        (network.predict(images, verbose=0), labels)
        for images, labels in (arrays(data.train()), arrays(data.val()), arrays(data.test()))
    )

    def fitted(regularization: float, features: np.ndarray, labels: np.ndarray) -> LogisticRegression:
        return LogisticRegression(C=regularization, max_iter=2000).fit(features, labels)

    best = max(REGULARIZATIONS, key=lambda one: fitted(one, *train).score(*val))
    both = [np.concatenate(pair) for pair in zip(train, val, strict=True)]
    return float(fitted(best, *both).score(*test)), time.perf_counter() - began


def arrays(split: Any) -> tuple[np.ndarray, np.ndarray]:
    """The images as float32 and the labels of a split."""
    return np.asarray(split.images[:], np.float32), np.asarray(split.labels[:]).reshape(-1)
