"""The CNN spaces: blocks of convolutions on small images, with augmentation and training recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toprung.spaces.definition.bounds import COUNT, POSITIVE, RATE, Bounds
from toprung.spaces.definition.constraints import Rules
from toprung.spaces.definition.first_config import tried_first
from toprung.spaces.definition.overrides import is_requested
from toprung.spaces.families import augmentation
from toprung.spaces.families import training_recipe as optimizer
from toprung.spaces.families.cnn_blocks import checked_stack

# What a configuration means that does not have the key.
DEFAULTS: Mapping[str, Any] = {
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
FILTERS = (8, 16, 32, 64, 128, 256, 512)
BLOCK_TYPES = ("plain", "residual", "separable")
ACTIVATIONS = ("relu", "elu", "gelu", "silu", "leaky_relu")
POOLINGS = ("max", "average", "strided")
DENSE_UNITS = (0, 64, 128, 256, 512)
MAX_NORMS = (0.0, 2.0, 3.0, 4.0)


RULES = Rules(
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
    texts={"stack": checked_stack},
)


# Cheap and sound: 0.61 on 4,000 CIFAR-10 images after 100 s of one core (32 filters in 3 blocks: 0.57).
FIRST_CONFIG: Mapping[str, Any] = {
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
    **optimizer.FIRST_CONFIG,
    **augmentation.FIRST_CONFIG,
}


@tried_first(FIRST_CONFIG)
@RULES
def space(trial: Any) -> dict[str, Any]:
    """Draw one CNN, its augmentation and its training recipe as one flat configuration.

    The core is moderate; what `full` searches beyond it, and `stack`, `padding`, `norm_place`, `pixel_range` and
    `conv_max_norm`, are there when the job names them.
    """
    return {**architecture(trial), **augmentation.space(trial), **optimizer.space(trial)}


@tried_first({**FIRST_CONFIG, "block_type": "plain", "activation": "relu"})
@RULES
def full(trial: Any) -> dict[str, Any]:
    """As `space`, over everything a network of this family can be."""
    return {**architecture(trial, wide=True), **augmentation.space(trial), **optimizer.space(trial)}


def architecture(trial: Any, wide: bool = False) -> dict[str, Any]:
    """Draw what changes the graph, and the numbers its layers hold in dials.

    `filters` are those of the first block, multiplied by `filter_growth` at each further one; every block
    holds `convs_per_block` convolutions and halves the image. `dense_units` 0 leaves the hidden dense layer
    out. `dropout` drops whole channels after each block, `dropout_step` more of them at each further one,
    `head_dropout` features after each hidden layer; rates in [0, 1). `head_l2` is the penalty on the squared
    weights of hidden dense layers, `max_norm` the longest weight vector of one of their units, `conv_max_norm` that of
    one filter of a convolution (0: no bound).
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
    drawn |= choose.options("block_type", BLOCK_TYPES) | choose.options("activation", ACTIVATIONS)
    if choose.wants("dropout_step"):
        drawn["dropout_step"] = trial.suggest_float("dropout_step", 0.0, 0.1)
    return drawn | _dense(trial, choose, drawn["dense_units"]) | _conventions(trial)


class _Chooser:
    """Draws from the core of a list, or from all of it when the space is wide or the job names the parameter."""

    def __init__(self, trial: Any, wide: bool) -> None:
        self._trial = trial
        self._wide = wide

    def wants(self, name: str) -> bool:
        return self._wide or is_requested(self._trial, name)

    def one(self, name: str, choices: Sequence[Any], core: int) -> Any:
        return self._trial.suggest_categorical(name, list(choices if self.wants(name) else choices[:core]))

    def options(self, name: str, choices: Sequence[Any]) -> dict[str, Any]:
        return {name: self._trial.suggest_categorical(name, list(choices))} if self.wants(name) else {}


def _blocks(trial: Any, choose: _Chooser) -> dict[str, Any]:
    if is_requested(trial, "stack"):
        stack = trial.suggest_categorical("stack", ["", "64x2p 128x2p"])
        if stack:
            return {"stack": stack}
    growths = [1.0, 2.0, 1.5]
    return {
        "filters": choose.one("filters", FILTERS, core=4),
        "filter_growth": choose.one("filter_growth", growths, core=2),
        "blocks": trial.suggest_int("blocks", 1, 5 if choose.wants("blocks") else 4),
        "convs_per_block": trial.suggest_int(
            "convs_per_block", 1, 3 if choose.wants("convs_per_block") else 2
        ),
    }


def _dense(trial: Any, choose: _Chooser, dense_units: int) -> dict[str, Any]:
    """What only a network with a hidden dense layer has."""
    if not dense_units:
        return {}
    drawn = choose.options("dense_units_2", DENSE_UNITS[:4]) | choose.options("max_norm", MAX_NORMS)
    if choose.wants("head_l2"):
        drawn["head_l2"] = trial.suggest_float("head_l2", 1e-6, 1e-1, log=True)
    return drawn


def _conventions(trial: Any) -> dict[str, Any]:
    """In what networks of the literature differ and what is hardly worth a search.

    `norm_place` "conv" normalises between convolution and activation, "block_end" after a block's pooling and
    dropout and after each hidden layer; `pixel_range` "signed" is [-1, 1], "unit" [0, 1].
    """
    choices: dict[str, list[Any]] = {
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
