"""The transfer space: a network of `keras.applications`, a new head, and fine-tuning in up to three phases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toprung.spaces.definition.bounds import COUNT, POSITIVE, RATE, SHARE, Bounds
from toprung.spaces.definition.constraints import Constraints
from toprung.spaces.definition.first_config import tried_first
from toprung.spaces.definition.overrides import Choices, Interval, OverriddenTrial, Range
from toprung.spaces.definition.recipe_vocabulary import OPTIMIZERS
from toprung.spaces.definition.trial import OptunaTrial, Value, is_requested
from toprung.spaces.errors import did_you_mean
from toprung.spaces.families import augmentation, training_recipe

TRANSFER = "transfer"  # the name of the space
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
# A head on kept features: between rates of 1e-3 and 1e-2 and penalties of 3e-3 and 1 its accuracy on photographs is the
# same to half a point. So every trial has the same one, and is compared by what tunes the network.
HEAD_RATE, HEAD_L2, HEAD_PASSES = 3e-3, 0.1, 30


DEFAULTS: Mapping[str, Value] = {
    "weights": "imagenet",
    "alpha": 1.0,
    "input_size": 0,
    "min_input_size": 0,
    "dense_units": 0,
    "dense_units_2": 0,
    "head_epochs": 3,
    "top_epochs": 6,
    "top_share": 0.2,
    "top_rate": 0.1,
    "deep_share": 0.5,
    "deep_rate": 0.01,
    "cache_features": False,
    "head_passes": 1,
    "head_rate": 0.0,
    "head_l2": 0.0,
    "depth_decay": 1.0,
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


def head_only_epochs(config: Mapping[str, Any]) -> int:
    """In how many of its first epochs a configuration trains the head alone, on the frozen network."""
    settings = {**DEFAULTS, **config}
    return 0 if settings["weights"] == "none" else int(settings["head_epochs"])


CONSTRAINTS = Constraints(
    limits={
        "alpha": Bounds(0.1, 10.0),
        "input_size": COUNT,
        "min_input_size": COUNT,
        "dense_units": COUNT,
        "dense_units_2": COUNT,
        "head_dropout": RATE,
        "head_epochs": COUNT,
        "top_epochs": COUNT,
        "top_share": SHARE,
        "top_rate": Bounds(),
        "deep_share": SHARE,
        "deep_rate": Bounds(),
        "head_passes": POSITIVE,
        "head_rate": Bounds(),
        "head_l2": Bounds(),
        "depth_decay": SHARE,
    },
    text_checks={"backbone": checked_backbone, "weights": checked_weights},
)


# A head fitted on the frozen network, then all layers at a small rate (LP-FT, Kumar et al. 2022).
FIRST_CONFIG: Mapping[str, Value] = {
    **training_recipe.FIRST_CONFIG,
    **augmentation.FIRST_CONFIG,
    "flip": True,
    "min_input_size": 160,
    "head_dropout": 0.2,
    "deep_share": 1.0,
    "depth_decay": 1.0,
    "optimizer": "adamw",
    "learning_rate": 3e-4,
    "warmup_share": 0.1,
    "weight_decay": 1e-2,
    "augment": 0.3,
}

# The rates that tune a network, as shares of the lowest and the highest that train one. Above, the first steps break
# what the network knows (0.70 on photographs fell to 0.45 at an Adam rate of 1e-3); below, they change nothing.
TUNING_SHARES = 0.25, 0.06
USUAL: Mapping[str, Range] = {
    "deep_share": Interval(0.5, 1.0),
    "depth_decay": Interval(0.3, 1.0),
    "warmup_share": Interval(0.05, 0.2),
    "batch_size": Choices((16, 32, 64)),
    "augment_set": Choices(("standard", "photo")),
}
"""Where good configurations are; a job that names a parameter may leave it."""
WIDEST: Mapping[str, Range] = {"batch_size": Choices((8, 16, 32, 64, 128, 256))}


def tuning_rates(optimizer: str) -> Interval:
    """The learning rates of an optimizer that are worth a trial on a pretrained network."""
    low, high = training_recipe.USEFUL_RANGES.get(optimizer, training_recipe.OF_OTHERS).learning_rate
    return Interval(TUNING_SHARES[0] * low, TUNING_SHARES[1] * high)


@tried_first(FIRST_CONFIG)
@CONSTRAINTS
def space(trial: OptunaTrial) -> dict[str, Any]:
    """Draw a pretrained network, its head and phases, augmentation and recipe as one flat configuration.

    `learning_rate` tunes the network; its range depends on the optimizer. The model enlarges images whose shorter side
    has fewer than `min_input_size` pixels: a pretrained network sees more on them. `weights`, `alpha` (the width of
    MobileNets), `input_size` (pixels that the model scales its images to, as squares, instead), `dense_units` and some
    of `phases` are searched only where the job names them. With `cache_features`, as is usual, the head-only epochs do
    not augment, and run the pretrained network once for each image.
    """
    drawn = network(trial)
    optimizer = trial.suggest_categorical("optimizer", list(OPTIMIZERS))
    usual = USUAL if drawn["weights"] == "none" else {**USUAL, "learning_rate": tuning_rates(optimizer)}
    free = {name: allowed for name, allowed in usual.items() if not is_requested(trial, name)}
    narrowed = OverriddenTrial(trial, {"optimizer": optimizer}, {**WIDEST, **free})
    return {
        **drawn,
        **phases(narrowed),
        **augmentation.space(narrowed),
        **training_recipe.space(narrowed),
    }


def network(trial: OptunaTrial) -> dict[str, Any]:
    """Draw what changes the graph, and `head_dropout`, a rate in [0, 1) before the last layer."""
    backbones = COMMON_BACKBONES if is_requested(trial, "backbone") else CORE_BACKBONES
    drawn: dict[str, Any] = {
        "backbone": trial.suggest_categorical("backbone", list(backbones)),
        "weights": "imagenet",
        "head_dropout": trial.suggest_float("head_dropout", 0.0, 0.5),
    }
    rare: dict[str, list[Value]] = {
        "weights": ["imagenet", "none"],
        "alpha": [0.35, 0.5, 0.75, 1.0],
        "input_size": [0, 96, 128, 160, 192, 224],
        "dense_units": [0, 128, 256],
        "dense_units_2": [0, 64, 128],
    }
    drawn |= {
        name: trial.suggest_categorical(name, choices)
        for name, choices in rare.items()
        if is_requested(trial, name)
    }
    if drawn["weights"] != "none" and not drawn.get("input_size"):
        drawn["min_input_size"] = trial.suggest_categorical("min_input_size", [96, 128, 160])
    return drawn


def phases(trial: OptunaTrial) -> dict[str, Any]:
    """Draw how much of the pretrained network is trained, when, and how fast.

    The first `head_epochs` train the head alone, `head_passes` times on each image where features are kept: by Adam
    with an L2 penalty of `head_l2`, at `head_rate`, or by the recipe where that is 0. The next `top_epochs` also train
    the uppermost `top_share` of the pretrained layers, at `top_rate` times the learning rate. The rest of the training
    also trains the uppermost `deep_share` of them, at `deep_rate` times the learning rate. `depth_decay` is the share
    of these rates at the deepest layer.
    """
    drawn: dict[str, Any] = {
        "head_epochs": 1,
        "head_passes": HEAD_PASSES,
        "head_rate": HEAD_RATE,
        "head_l2": HEAD_L2,
        "cache_features": True,
        "top_epochs": 0,
        "deep_share": trial.suggest_float("deep_share", 0.0, 1.0),
        "deep_rate": 1.0,
        "depth_decay": trial.suggest_float("depth_decay", 0.01, 1.0, log=True),
    }
    if is_requested(trial, "head_epochs"):
        drawn["head_epochs"] = trial.suggest_int("head_epochs", 0, 9)
    if is_requested(trial, "head_passes"):
        drawn["head_passes"] = trial.suggest_int("head_passes", 1, 100, log=True)
    if is_requested(trial, "head_rate"):
        drawn["head_rate"] = trial.suggest_float("head_rate", 1e-4, 1e-1, log=True)
    if is_requested(trial, "head_l2"):
        drawn["head_l2"] = trial.suggest_float("head_l2", 1e-4, 10.0, log=True)
    if is_requested(trial, "cache_features"):
        drawn["cache_features"] = trial.suggest_categorical("cache_features", [False, True])
    if is_requested(trial, "deep_rate"):
        drawn["deep_rate"] = trial.suggest_float("deep_rate", 0.001, 1.0, log=True)
    return drawn | _top_phase(trial)


def _top_phase(trial: OptunaTrial) -> dict[str, Any]:
    """A phase between the head alone and the rest, where the job names one of its parameters."""
    if not any(is_requested(trial, name) for name in ("top_epochs", "top_share", "top_rate")):
        return {}
    return {
        "top_epochs": trial.suggest_int("top_epochs", 0, 9),
        "top_share": trial.suggest_float("top_share", 0.05, 0.5),
        "top_rate": trial.suggest_float("top_rate", 0.01, 1.0, log=True),
    }
