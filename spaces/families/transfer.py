"""The transfer space: a network of `keras.applications`, a new head, and fine-tuning in up to three phases."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from toprung.spaces.definition.bounds import COUNT, RATE, SHARE, Bounds
from toprung.spaces.definition.constraints import Rules
from toprung.spaces.definition.first_config import tried_first
from toprung.spaces.definition.overrides import Interval, OverriddenTrial, is_requested
from toprung.spaces.families import augmentation
from toprung.spaces.families import training_recipe as optimizer
from toprung.spaces.user_code.references import did_you_mean

BACKBONES = (
    "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge", "DenseNet121",
    "DenseNet169", "DenseNet201", "EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3",
    "EfficientNetB4", "EfficientNetB5", "EfficientNetB6", "EfficientNetB7", "EfficientNetV2B0",
    "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3", "EfficientNetV2L", "EfficientNetV2M",
    "EfficientNetV2S", "InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Large",
    "MobileNetV3Small", "NASNetLarge", "NASNetMobile", "ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2",
    "ResNet50", "ResNet50V2", "VGG16", "VGG19", "Xception",
)  # fmt: skip
CORE_BACKBONES = ("EfficientNetV2B0", "MobileNetV2", "ResNet50")
COMMON_BACKBONES = (*CORE_BACKBONES, "EfficientNetB0", "MobileNetV3Large", "VGG16", "ConvNeXtTiny")
WEIGHT_FILES = (".weights.h5", ".h5")


# What a configuration means that does not have the key.
DEFAULTS = {
    "weights": "imagenet",
    "alpha": 1.0,
    "input_size": 0,
    "dense_units": 0,
    "dense_units_2": 0,
    "head_epochs": 3,
    "top_epochs": 6,
    "top_share": 0.2,
    "top_rate": 0.1,
    "deep_share": 0.5,
    "deep_rate": 0.01,
    "cache_features": False,
}


def checked_backbone(name: str) -> str:
    """`name` when `keras.applications` has it; ValueError with the rule otherwise."""
    if name not in BACKBONES:
        raise ValueError(did_you_mean(name, BACKBONES) or f"must be one of {', '.join(BACKBONES)}")
    return name


def checked_weights(text: str) -> str:
    """ "imagenet", "none", or an existing file made absolute; ValueError with the rule otherwise."""
    if text in ("imagenet", "none"):
        return text
    path = Path(text).expanduser().absolute()
    if not path.name.endswith(WEIGHT_FILES) or not path.is_file():
        raise ValueError('must be "imagenet", "none", or an existing file .weights.h5 or .h5')
    return os.fspath(path)


RULES = Rules(
    limits={
        "alpha": Bounds(0.1, 10.0),
        "input_size": COUNT,
        "dense_units": COUNT,
        "dense_units_2": COUNT,
        "head_dropout": RATE,
        "head_epochs": COUNT,
        "top_epochs": COUNT,
        "top_share": SHARE,
        "top_rate": Bounds(),
        "deep_share": SHARE,
        "deep_rate": Bounds(),
    },
    texts={"backbone": checked_backbone, "weights": checked_weights},
)


# The phases of the usual recipe: 0, 20 and 50% of the layers at 1e-3, 1e-4 and 1e-5.
FIRST_CONFIG = {
    **{name: DEFAULTS[name] for name in ("head_epochs", "top_epochs", "dense_units")},
    **{name: DEFAULTS[name] for name in ("top_share", "top_rate", "deep_share", "deep_rate")},
    "head_dropout": 0.2,
    **optimizer.FIRST_CONFIG,
    **augmentation.FIRST_CONFIG,
}


@tried_first(FIRST_CONFIG)
@RULES
def space(trial: Any) -> dict[str, Any]:
    """Draw a pretrained network, its head and phases, augmentation and recipe as one flat configuration.

    `learning_rate` is that of the head-only phase. `weights`, `alpha` (the width of MobileNets), `input_size`
    (pixels that the model scales its images to, 0: as they are) and `cache_features` are there when the job names them:
    with it the head-only epochs leave images unvaried and run the pretrained network once for each.
    """
    recipe = OverriddenTrial(trial, {}, {"learning_rate": Interval(1e-4, 1e-2)})
    return {**network(trial), **phases(trial), **augmentation.space(trial), **optimizer.space(recipe)}


def network(trial: Any) -> dict[str, Any]:
    """Draw what changes the graph, and `head_dropout`, a rate in [0, 1) before the last layer."""
    known = COMMON_BACKBONES if is_requested(trial, "backbone") else CORE_BACKBONES
    drawn = {
        "backbone": trial.suggest_categorical("backbone", list(known)),
        "weights": "imagenet",
        "dense_units": trial.suggest_categorical("dense_units", [0, 128, 256]),
        "head_dropout": trial.suggest_float("head_dropout", 0.0, 0.6),
    }
    rare = {
        "weights": ["imagenet", "none"],
        "alpha": [0.35, 0.5, 0.75, 1.0],
        "input_size": [0, 96, 128, 160, 192, 224],
        "dense_units_2": [0, 64, 128],
        "cache_features": [False, True],
    }
    return drawn | {
        name: trial.suggest_categorical(name, choices)
        for name, choices in rare.items()
        if is_requested(trial, name)
    }


def phases(trial: Any) -> dict[str, Any]:
    """Draw how much of the pretrained network is trained, when, and how fast.

    `head_epochs` train the head alone. `top_epochs` train the uppermost `top_share` of the pretrained layers too,
    at `top_rate` times the learning rate; what is left of the training, the uppermost `deep_share` at `deep_rate`
    times.
    """
    return {
        "head_epochs": trial.suggest_int("head_epochs", 0, 9),
        "top_epochs": trial.suggest_int("top_epochs", 0, 18),
        "top_share": trial.suggest_float("top_share", 0.05, 0.5),
        "top_rate": trial.suggest_float("top_rate", 0.01, 1.0, log=True),
        "deep_share": trial.suggest_float("deep_share", 0.2, 1.0),
        "deep_rate": trial.suggest_float("deep_rate", 0.001, 0.1, log=True),
    }
