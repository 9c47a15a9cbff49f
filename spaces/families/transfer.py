"""The transfer space: a network of `keras.applications`, a new head, and fine-tuning in up to three phases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toprung.spaces.definition.bounds import COUNT, RATE, SHARE, Bounds
from toprung.spaces.definition.constraints import Constraints
from toprung.spaces.definition.first_config import tried_first
from toprung.spaces.definition.overrides import Interval, OverriddenTrial
from toprung.spaces.definition.trial import OptunaTrial, Value, is_requested
from toprung.spaces.families import augmentation, training_recipe
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


DEFAULTS: Mapping[str, Value] = {
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
"""The values of keys that a configuration leaves out."""


def checked_backbone(name: str) -> str:
    """`name`, which must be a network of `keras.applications`; raises ValueError with the rule otherwise."""
    if name not in BACKBONES:
        raise ValueError(did_you_mean(name, BACKBONES) or f"must be one of {', '.join(BACKBONES)}")
    return name


def checked_weights(text: str) -> str:
    """The word "imagenet" or "none", or an existing file made absolute; raises ValueError with the rule otherwise."""
    if text in ("imagenet", "none"):
        return text
    try:
        path = Path(text).expanduser().absolute()
        is_file = path.is_file()
    except (OSError, RuntimeError):  # a name too long, an unknown user
        is_file = False
    if not (is_file and path.name.endswith(WEIGHT_FILES)):
        raise ValueError('must be "imagenet", "none", or an existing file .weights.h5 or .h5')
    return os.fspath(path)


CONSTRAINTS = Constraints(
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
    text_checks={"backbone": checked_backbone, "weights": checked_weights},
)


# The phases of the common recipe: 0, 20 and 50% of the layers at rates of 1e-3, 1e-4 and 1e-5.
FIRST_CONFIG: Mapping[str, Value] = {
    **{name: DEFAULTS[name] for name in ("head_epochs", "top_epochs", "dense_units")},
    **{name: DEFAULTS[name] for name in ("top_share", "top_rate", "deep_share", "deep_rate")},
    "head_dropout": 0.2,
    **training_recipe.FIRST_CONFIG,
    **augmentation.FIRST_CONFIG,
}


@tried_first(FIRST_CONFIG)
@CONSTRAINTS
def space(trial: OptunaTrial) -> dict[str, Any]:
    """Draw a pretrained network, its head and phases, augmentation and recipe as one flat configuration.

    `learning_rate` is that of the head-only phase. `weights`, `alpha` (the width of MobileNets), `input_size` (pixels
    that the model scales its images to, 0: their own size) and `cache_features` exist only where the job names them.
    With `cache_features` the head-only epochs do not augment, and run the pretrained network once for each image.
    """
    recipe = OverriddenTrial(trial, {}, {"learning_rate": Interval(1e-4, 1e-2)})
    return {**network(trial), **phases(trial), **augmentation.space(trial), **training_recipe.space(recipe)}


def network(trial: OptunaTrial) -> dict[str, Any]:
    """Draw what changes the graph, and `head_dropout`, a rate in [0, 1) before the last layer."""
    backbones = COMMON_BACKBONES if is_requested(trial, "backbone") else CORE_BACKBONES
    drawn: dict[str, Any] = {
        "backbone": trial.suggest_categorical("backbone", list(backbones)),
        "weights": "imagenet",
        "dense_units": trial.suggest_categorical("dense_units", [0, 128, 256]),
        "head_dropout": trial.suggest_float("head_dropout", 0.0, 0.6),
    }
    rare: dict[str, list[Value]] = {
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


def phases(trial: OptunaTrial) -> dict[str, Any]:
    """Draw how much of the pretrained network is trained, when, and how fast.

    The first `head_epochs` train the head alone. The next `top_epochs` also train the uppermost `top_share` of the
    pretrained layers, at `top_rate` times the learning rate. The rest of the training also trains the uppermost
    `deep_share` of them, at `deep_rate` times the learning rate.
    """
    return {
        "head_epochs": trial.suggest_int("head_epochs", 0, 9),
        "top_epochs": trial.suggest_int("top_epochs", 0, 18),
        "top_share": trial.suggest_float("top_share", 0.05, 0.5),
        "top_rate": trial.suggest_float("top_rate", 0.01, 1.0, log=True),
        "deep_share": trial.suggest_float("deep_share", 0.2, 1.0),
        "deep_rate": trial.suggest_float("deep_rate", 0.001, 0.1, log=True),
    }
