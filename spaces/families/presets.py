"""Well-known small CNNs as configurations of the CNN family; each is a space whose architecture is fixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toprung.spaces.definition.first_config import tried_first
from toprung.spaces.definition.overrides import OverriddenTrial
from toprung.spaces.definition.trial import OptunaTrial, Value
from toprung.spaces.families import cnn


@dataclass(frozen=True)
class Preset:
    """One network.

    architecture: the values to fix in the space "cnn".
    recipe: how it is usually trained.
    """

    architecture: Mapping[str, Value]
    recipe: Mapping[str, Value]

    @property
    def config(self) -> dict[str, Value]:
        """Architecture and recipe together."""
        return {**self.architecture, **self.recipe}


def _adam(batch_size: int, augment: float = 0.0, flip: bool = False) -> Mapping[str, Value]:
    """Adam at its default rate: adamw without decay."""
    return {
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "warmup_share": 0.0,
        "weight_decay": 0.0,
        "label_smoothing": 0.0,
        "batch_size": batch_size,
        "augment": augment,
        "flip": flip,
    }


PRESETS: Mapping[str, Preset] = {
    # Four blocks of two 3x3 convolutions, as in VGG (Simonyan & Zisserman 2015), cut to small images.
    "cnn_vgg": Preset(
        {
            "stack": "64x2p 128x2p 256x2p 512x2p",
            "kernel_size": 3,
            "batch_norm": True,
            "pooling": "max",
            "head": "flatten",
            "dense_units": 512,
            "head_l2": 1e-4,
            "dropout": 0.1,
            "dropout_step": 0.05,
            "head_dropout": 0.5,
        },
        _adam(batch_size=64, augment=0.3, flip=True),
    ),
    # Normalised after pooling and dropout, two dense layers under a max-norm: 2,264,458 parameters on CIFAR-10.
    "cnn_max_norm": Preset(
        {
            "stack": "32 64p 64p 128",
            "kernel_size": 3,
            "batch_norm": True,
            "norm_place": "block_end",
            "pixel_range": "unit",
            "pooling": "max",
            "head": "flatten",
            "dense_units": 256,
            "dense_units_2": 128,
            "max_norm": 3.0,
            "dropout": 0.2,
            "head_dropout": 0.2,
        },
        _adam(batch_size=64),
    ),
    # The first network of many tutorials, its rescaling inside: 122,570 parameters on CIFAR-10.
    "cnn_small": Preset(
        {
            "stack": "32p 64p 64",
            "kernel_size": 3,
            "batch_norm": False,
            "padding": "valid",
            "pixel_range": "unit",
            "pooling": "max",
            "head": "flatten",
            "dense_units": 64,
            "dropout": 0.0,
            "head_dropout": 0.0,
        },
        _adam(batch_size=32),
    ),
}


@tried_first(PRESETS["cnn_vgg"].recipe)
def cnn_vgg(trial: OptunaTrial) -> dict[str, Any]:
    """The 64-128-256-512 network with a 512-unit L2 head: draw its augmentation and training recipe."""
    return _space(trial, "cnn_vgg")


@tried_first(PRESETS["cnn_max_norm"].recipe)
def cnn_max_norm(trial: OptunaTrial) -> dict[str, Any]:
    """The 32-64-64-128 network with max-norm dense layers: draw its augmentation and training recipe."""
    return _space(trial, "cnn_max_norm")


@tried_first(PRESETS["cnn_small"].recipe)
def cnn_small(trial: OptunaTrial) -> dict[str, Any]:
    """The 32-64-64 network: draw its augmentation and training recipe."""
    return _space(trial, "cnn_small")


def _space(trial: OptunaTrial, name: str) -> dict[str, Any]:
    return cnn.space(OverriddenTrial(trial, PRESETS[name].architecture, {}))
