"""The training recipe: optimizer, learning rate with warmup, regularisation, batch size."""

from __future__ import annotations

from typing import Any


def space(trial: Any) -> dict[str, Any]:
    """Draw a training recipe.

    `learning_rate` is the peak, reached after `warmup_share` of all steps and left along a cosine. `momentum`
    is searched for SGD alone; the other optimizers keep 0.9. `weight_decay` touches kernels, never biases or
    norms.
    """
    kind = trial.suggest_categorical("optimizer", ["adamw", "sgd"])
    return {
        "optimizer": kind,
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
        "warmup_share": trial.suggest_float("warmup_share", 0.0, 0.2),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True),
        "momentum": trial.suggest_float("momentum", 0.8, 0.98) if kind == "sgd" else 0.9,
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128, 256]),
    }
