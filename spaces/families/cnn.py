"""The CNN spaces: blocks of convolutions on small images, with augmentation and training recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toprung.spaces.definition.bounds import COUNT, POSITIVE, RATE, Bounds
from toprung.spaces.definition.constraints import Constraints
from toprung.spaces.definition.first_config import tried_first
from toprung.spaces.definition.trial import OptunaTrial, Value, is_requested
from toprung.spaces.families import augmentation, training_recipe
from toprung.spaces.families.cnn_blocks import checked_stack

DEFAULTS: Mapping[str, Value] = {
    "stack": "",
    "block_type": "plain",
    "activation": "relu",
    "padding": "same",
    "norm_place": "conv",
    "pixel_range": "signed",
    "dense_units_2": 0,
    "max_norm": 0.0,
    "conv_max_norm": 0.0,
}
"""The values of keys that a configuration leaves out."""


FILTERS = (8, 16, 32, 64, 128, 256, 512)
BLOCK_TYPES = ("plain", "residual", "separable")
ACTIVATIONS = ("relu", "elu", "gelu", "silu", "leaky_relu")
POOLINGS = ("max", "average", "strided")
DENSE_UNITS = (0, 64, 128, 256, 512)
MAX_NORMS = (0.0, 2.0, 3.0, 4.0)


CONSTRAINTS = Constraints(
    limits={
        "filters": POSITIVE,
        "filter_growth": Bounds(0.1, 10.0),
        "blocks": POSITIVE,
        "convs_per_block": POSITIVE,
        "kernel_size": POSITIVE,
        "dense_units": COUNT,
        "dense_units_2": COUNT,
        "dropout": RATE,
        "dropout_step": RATE,
        "head_dropout": RATE,
        "head_l2": Bounds(),
        "max_norm": Bounds(),
        "conv_max_norm": Bounds(),
    },
    text_checks={"stack": checked_stack},
)


# Accuracy 0.61 on 4,000 CIFAR-10 images after 100 s on one core; 32 filters in 3 blocks reach 0.57.
FIRST_CONFIG: Mapping[str, Value] = {
    "filters": 16,
    "filter_growth": 2.0,
    "blocks": 4,
    "convs_per_block": 1,
    "kernel_size": 3,
    "batch_norm": True,
    "pooling": "max",
    "head": "flatten",
    "dense_units": 128,
    "dropout": 0.1,
    "head_dropout": 0.3,
    **training_recipe.FIRST_CONFIG,
    **augmentation.FIRST_CONFIG,
}


# Chosen by `tests/benchmarks/portfolio.py choose`, whose scores of 16 candidates are kept beside it: on 4,000 CIFAR-10
# images and 18 epochs both reach 0.62 where the usual configuration reaches 0.57 in the same seconds; on 556
# photographs and 9 epochs they are behind it (0.42 and 0.52, and 0.54).
_SGD: Mapping[str, Value] = {
    **FIRST_CONFIG,
    "blocks": 3,
    "kernel_size": 5,
    "batch_norm": False,
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 1e-3,
    "label_smoothing": 0.1,
    "batch_size": 64,
    "flip": True,
}
PORTFOLIO: tuple[Mapping[str, Value], ...] = (
    FIRST_CONFIG,
    {
        **_SGD,
        "dense_units": 0,
        "dropout": 0.0,
        "head_dropout": 0.2,
        "ema": 0.99,
        "augment": 0.3,
        "augment_set": "mixed",
        "augment_picks": 0,
    },
    {**_SGD, "augment": 0.4, "augment_set": "photo", "augment_picks": 1},
)
"""What a search tries first, in this order: the usual configuration, and others that were good on other images."""


@tried_first(*PORTFOLIO)
@CONSTRAINTS
def space(trial: OptunaTrial) -> dict[str, Any]:
    """Draw one CNN, its augmentation and its training recipe as one flat configuration.

    The parameters that `full` adds, and `stack`, `padding`, `norm_place`, `pixel_range` and `conv_max_norm`, exist
    only where the job names them.
    """
    return {**architecture(trial), **augmentation.space(trial), **training_recipe.space(trial)}


@tried_first(*({**config, "block_type": "plain", "activation": "relu"} for config in PORTFOLIO))
@CONSTRAINTS
def full(trial: OptunaTrial) -> dict[str, Any]:
    """As `space`, with more parameters and wider choices: all but the few that a job has to name."""
    return {**architecture(trial, wide=True), **augmentation.space(trial), **training_recipe.space(trial)}


def architecture(trial: OptunaTrial, wide: bool = False) -> dict[str, Any]:
    """Draw the network: what changes the graph, and the rates and penalties that are runtime hyperparameters.

    Every block holds `convs_per_block` convolutions and halves the image. The first has `filters`, each further one
    `filter_growth` times as many. `dense_units` 0 leaves the hidden dense layer out. `dropout` drops whole channels
    after the first block, `dropout_step` more of them after each further one, `head_dropout` features after each
    hidden layer; all are rates in [0, 1). `head_l2` is the penalty on the squared weights of hidden dense layers.
    `max_norm` bounds the norm of the weight vector of each of their units, `conv_max_norm` that of each filter of a
    convolution; 0 is no bound.

    Args:
        trial: The trial to draw from.
        wide: Whether to draw what only `full` searches, from the widest choices.
    """
    choose = _Chooser(trial, wide)
    drawn = _blocks(trial, choose)
    drawn |= {
        "kernel_size": trial.suggest_categorical("kernel_size", [3, 5]),
        "batch_norm": trial.suggest_categorical("batch_norm", [True, False]),
        "pooling": choose.one("pooling", POOLINGS, core=2),
        "head": trial.suggest_categorical("head", ["global_average", "flatten"]),
        "dense_units": choose.one("dense_units", DENSE_UNITS, core=4),
        "dropout": trial.suggest_float("dropout", 0.0, 0.4),
        "head_dropout": trial.suggest_float("head_dropout", 0.0, 0.6),
    }
    drawn |= choose.optional("block_type", BLOCK_TYPES) | choose.optional("activation", ACTIVATIONS)
    if choose.is_wide("dropout_step"):
        drawn["dropout_step"] = trial.suggest_float("dropout_step", 0.0, 0.1)
    return drawn | _dense(trial, choose, drawn["dense_units"]) | _conventions(trial)


class _Chooser:
    """Draws from the first choices of a list, or from all where the space is wide or the job names the parameter."""

    def __init__(self, trial: OptunaTrial, wide: bool) -> None:
        self._trial = trial
        self._wide = wide

    def is_wide(self, name: str) -> bool:
        return self._wide or is_requested(self._trial, name)

    def one(self, name: str, choices: Sequence[Value], core: int) -> Any:
        return self._trial.suggest_categorical(name, list(choices if self.is_wide(name) else choices[:core]))

    def optional(self, name: str, choices: Sequence[Value]) -> dict[str, Any]:
        return {name: self._trial.suggest_categorical(name, list(choices))} if self.is_wide(name) else {}


def _blocks(trial: OptunaTrial, choose: _Chooser) -> dict[str, Any]:
    if is_requested(trial, "stack"):
        stack = trial.suggest_categorical("stack", ["", "64x2p 128x2p"])
        if stack:
            return {"stack": stack}
    growths = (1.0, 2.0, 1.5)
    return {
        "filters": choose.one("filters", FILTERS, core=4),
        "filter_growth": choose.one("filter_growth", growths, core=2),
        "blocks": trial.suggest_int("blocks", 1, 5 if choose.is_wide("blocks") else 4),
        "convs_per_block": trial.suggest_int(
            "convs_per_block", 1, 3 if choose.is_wide("convs_per_block") else 2
        ),
    }


def _dense(trial: OptunaTrial, choose: _Chooser, dense_units: int) -> dict[str, Any]:
    """Draw what only a network with a hidden dense layer has."""
    if not dense_units:
        return {}
    drawn = choose.optional("dense_units_2", DENSE_UNITS[:4]) | choose.optional("max_norm", MAX_NORMS)
    if choose.is_wide("head_l2"):
        drawn["head_l2"] = trial.suggest_float("head_l2", 1e-6, 1e-1, log=True)
    return drawn


def _conventions(trial: OptunaTrial) -> dict[str, Any]:
    """Draw the conventions in which published networks differ, where the job names them: hardly worth a search.

    `norm_place` "conv" normalises between convolution and activation, "block_end" after a block's pooling and
    dropout and after each hidden layer. `pixel_range` "signed" scales pixels to [-1, 1], "unit" to [0, 1].
    """
    choices: dict[str, list[Value]] = {
        "padding": ["same", "valid"],
        "norm_place": ["conv", "block_end"],
        "pixel_range": ["signed", "unit"],
        "conv_max_norm": list(MAX_NORMS),
    }
    return {
        name: trial.suggest_categorical(name, values)
        for name, values in choices.items()
        if is_requested(trial, name)
    }
