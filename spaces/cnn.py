"""The CNN space: blocks of convolutions on small images, with augmentation and training recipe."""

from __future__ import annotations

from typing import Any

from spaces import augmentation, optimizer


def space(trial: Any) -> dict[str, Any]:
    """Draw one CNN, its augmentation and its training recipe as one flat configuration."""
    return {**architecture(trial), **augmentation.space(trial), **optimizer.space(trial)}


def architecture(trial: Any) -> dict[str, Any]:
    """Draw what changes the graph, and the two dropout rates.

    `filters` are those of the first block, multiplied by `filter_growth` at each further one; every block
    holds `convs_per_block` convolutions and halves the image. `dense_units` 0 leaves the hidden dense layer
    out. `dropout` drops whole channels after each block, `head_dropout` features before the last layer; both
    in [0, 1).
    """
    return {
        "filters": trial.suggest_categorical("filters", [8, 16, 32, 64]),
        "filter_growth": trial.suggest_categorical("filter_growth", [1.0, 2.0]),
        "blocks": trial.suggest_int("blocks", 1, 4),
        "convs_per_block": trial.suggest_int("convs_per_block", 1, 2),
        "kernel_size": trial.suggest_categorical("kernel_size", [3, 5]),
        "batch_norm": trial.suggest_categorical("batch_norm", [True, False]),
        "pooling": trial.suggest_categorical("pooling", ["max", "average"]),
        "head": trial.suggest_categorical("head", ["global_average", "flatten"]),
        "dense_units": trial.suggest_categorical("dense_units", [0, 64, 128, 256]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.4),
        "head_dropout": trial.suggest_float("head_dropout", 0.0, 0.6),
    }
