"""Temperature scaling (Guo et al. 2017): one number that makes a model's probabilities as sure as they are right."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize_scalar

from toprung.trainables.task.task_type import MULTILABEL

LOG_LIMIT = math.log(20.0)
PRIOR_WIDTH = 0.5
"""The standard deviation of log temperature before any image is seen.

On few images, or where all of them are right, the likelihood alone would ask for a temperature of zero.
"""


def fit_temperature(logits: np.ndarray, labels: np.ndarray, task_type: str) -> float:
    """The temperature by which logits are divided, the most probable one given held-out images.

    The likelihood of the labels has a log-normal prior around 1. The order of the classes stays, and so do all
    predictions.

    Args:
        logits: Of images that the model was not trained on, (N, classes).
        labels: Class numbers (N,); in a multilabel task 0 and 1 for each class, (N, classes).
        task_type: See `trainables.task.task_type`.

    Returns:
        A number from 1/20 to 20; 1 where a logit is not finite.
    """
    wide = np.asarray(logits, np.float64)
    if not (wide.size and np.isfinite(wide).all()):
        return 1.0

    def cost(log_temperature: float) -> float:
        loss = mean_loss(wide / math.exp(log_temperature), labels, task_type)
        return loss * len(wide) + 0.5 * (log_temperature / PRIOR_WIDTH) ** 2

    found = minimize_scalar(cost, bounds=(-LOG_LIMIT, LOG_LIMIT), method="bounded")
    return math.exp(float(found.x)) if cost(float(found.x)) < cost(0.0) else 1.0


def mean_loss(logits: np.ndarray, labels: np.ndarray, task_type: str) -> float:
    """The negative log-likelihood of the labels in nats: of an image, in a multilabel task of one of its labels."""
    if task_type == MULTILABEL:
        return float((np.logaddexp(0.0, logits) - labels * logits).mean())
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    return float((log_sum - shifted[np.arange(len(labels)), labels]).mean())
