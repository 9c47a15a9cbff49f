"""The training recipe: optimizer, learning rate and its schedule, regularisation, batch size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from toprung.spaces.definition.recipe_vocabulary import OPTIMIZERS, SCHEDULES
from toprung.spaces.definition.trial import OptunaTrial, Value, is_requested

FIRST_CONFIG: Mapping[str, Value] = {
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "schedule": "cosine",
    "warmup_share": 0.05,
    "weight_decay": 1e-4,
    "label_smoothing": 0.0,
    "ema": 0.0,
    "batch_size": 32,
}


class UsefulRange(NamedTuple):
    """Where an optimizer's learning rates and weight decays are worth a trial, each from low to high."""

    learning_rate: tuple[float, float]
    weight_decay: tuple[float, float]


# Beyond them nearly every training of the data sets at hand ends near chance. Momentum makes the steps of `rmsprop` ten
# times as long as its rate, and those of `lion` are all of one length. Decay that is decoupled is multiplied by the
# learning rate; the others add it to the gradient.
USEFUL_RANGES: Mapping[str, UsefulRange] = {
    "adamw": UsefulRange((2e-4, 1e-2), (1e-4, 1e-1)),
    "adam": UsefulRange((2e-4, 1e-2), (1e-6, 1e-3)),
    "sgd": UsefulRange((3e-3, 1e-1), (1e-6, 5e-3)),
    "rmsprop": UsefulRange((2e-5, 1e-3), (1e-6, 1e-3)),
    "lion": UsefulRange((2e-5, 1e-3), (1e-3, 3e-1)),
}
OF_OTHERS = UsefulRange((1e-5, 1e-1), (1e-6, 1e-1))
WIDEST = UsefulRange((1e-6, 1.0), (1e-7, 1.0))
"""Where a job that names the parameter may put its own range, whatever the optimizer."""


def space(trial: OptunaTrial) -> dict[str, Any]:
    """Draw a training recipe (see `trainables.optimization.recipe.Recipe` for what the parameters mean).

    The ranges of `learning_rate` and `weight_decay` follow from the optimizer unless the job names others.
    `momentum` exists for SGD alone unless the job names it; the other optimizers keep their 0.9. `clip_norm` and
    `class_balance` are off unless a job fixes them: the first helps the few trainings that diverge, the second data
    whose classes differ in size, and searching them would cost every other job trials. `patience_epochs` exists only
    where the job names it.
    """
    optimizer = trial.suggest_categorical("optimizer", list(OPTIMIZERS))
    useful = USEFUL_RANGES.get(optimizer, OF_OTHERS)
    rates = WIDEST.learning_rate if is_requested(trial, "learning_rate") else useful.learning_rate
    decays = WIDEST.weight_decay if is_requested(trial, "weight_decay") else useful.weight_decay
    has_momentum = optimizer == "sgd" or is_requested(trial, "momentum")
    recipe = {
        "optimizer": optimizer,
        "learning_rate": trial.suggest_float("learning_rate", *rates, log=True),
        "schedule": trial.suggest_categorical("schedule", list(SCHEDULES)),
        "warmup_share": trial.suggest_float("warmup_share", 0.0, 0.2),
        "weight_decay": trial.suggest_float("weight_decay", *decays, log=True),
        **({"momentum": trial.suggest_float("momentum", 0.8, 0.98)} if has_momentum else {}),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
        "clip_norm": trial.suggest_categorical("clip_norm", [0.0]),
        "ema": trial.suggest_categorical("ema", [0.0, 0.99]),
        "class_balance": trial.suggest_categorical("class_balance", [0.0]),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128, 256]),
    }
    if is_requested(trial, "patience_epochs"):
        recipe["patience_epochs"] = trial.suggest_int("patience_epochs", 0, 50)
    return recipe
