"""The training recipe: optimizer, learning rate and its schedule, regularisation, batch size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toprung.spaces.definition.overrides import is_requested
from toprung.spaces.definition.recipe_vocabulary import SCHEDULES

FIRST_CONFIG: Mapping[str, Any] = {
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "schedule": "cosine",
    "warmup_share": 0.05,
    "weight_decay": 1e-4,
    "label_smoothing": 0.0,
    "ema": 0.0,
    "batch_size": 32,
}


def space(trial: Any) -> dict[str, Any]:
    """Draw a training recipe.

    `learning_rate` is the peak, reached after `warmup_share` of all steps and left as `schedule` says (see
    `trainables.recipe.Recipe`). `momentum` is searched for SGD alone unless the job names it; the other optimizers
    keep 0.9. `weight_decay` touches kernels, never biases or norms. `ema` above 0 scores and exports an average of the
    weights. `clip_norm` and `class_balance` are off unless a job fixes them: one helps the few trainings that jump, the
    other data whose classes differ in size, and a search over them would cost every other job trials.
    `patience_epochs` is there when the job names it.
    """
    kind = trial.suggest_categorical("optimizer", ["adamw", "sgd", "adam", "rmsprop", "lion"])
    has_momentum = kind == "sgd" or is_requested(trial, "momentum")
    recipe = {
        "optimizer": kind,
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
        "schedule": trial.suggest_categorical("schedule", list(SCHEDULES)),
        "warmup_share": trial.suggest_float("warmup_share", 0.0, 0.2),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True),
        "momentum": trial.suggest_float("momentum", 0.8, 0.98) if has_momentum else 0.9,
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
        "clip_norm": trial.suggest_categorical("clip_norm", [0.0]),
        "ema": trial.suggest_categorical("ema", [0.0, 0.99]),
        "class_balance": trial.suggest_categorical("class_balance", [0.0]),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128, 256]),
    }
    if is_requested(trial, "patience_epochs"):
        recipe["patience_epochs"] = trial.suggest_int("patience_epochs", 0, 50)
    return recipe
