"""Which built-in space is the usual choice for a set of images, and where the weights of a transfer space come from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.search.preparation.prepare import PreparedJob

PHOTO_SIDE = 64  # pixels: from here on images have the detail that pretrained networks know
FEW = 5_000  # images: below, a network that begins at nothing learns less than a pretrained one
MANY = 20_000  # images: from here on small ones suffice for a network that begins at nothing
TRANSFER, CNN = "transfer", "cnn"


def usual_space(images: int, side: int) -> str:
    """The usual space for a number of training images whose shorter side has `side` pixels."""
    is_photo = side >= PHOTO_SIDE and (images < MANY or side > PHOTO_SIDE)
    return TRANSFER if is_photo else CNN


def about_space(prepared: PreparedJob) -> Iterator[str]:
    """A line where the images clearly ask for another built-in space than the job has, and why."""
    name, data = prepared.job.space.name, prepared.dataset
    images, side = data.counts["train"], min(data.image_shape[:2])
    size = "x".join(map(str, data.image_shape[:2]))
    if name.startswith(CNN) and images < FEW and usual_space(images, side) == TRANSFER:
        yield (
            f"{images:,} training images of {size} pixels are few: `space: {TRANSFER}`, pretrained networks, is the "
            "usual choice for them"
        )
    if name == TRANSFER and images >= FEW and usual_space(images, side) == CNN:
        yield (
            f"{images:,} training images of {size} pixels are many and small: `space: {CNN}`, networks trained from "
            "scratch, is the usual choice for them"
        )


def about_weights(prepared: PreparedJob) -> Iterator[str]:
    """Where the pretrained weights of the job's networks come from."""
    if prepared.job.space.name != TRANSFER:
        return
    weights = str(prepared.job.space.fixed.get("weights", "imagenet"))
    if weights == "none":
        yield "none: the networks begin at random"
    elif weights == "imagenet":
        folder = keras_folder() / "models"
        there = len(list(folder.glob("*.h5"))) if folder.is_dir() else 0
        yield (
            f"ImageNet's, which Keras downloads once a node into {folder} ({there} files are there); without a network "
            "give a file: space.fixed.weights FILE.weights.h5, and its network as space.fixed.backbone (and alpha)"
        )
    else:
        yield f"{weights}; the file must be at this path on every node"


def keras_folder() -> Path:
    """Where Keras keeps what it downloads."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
