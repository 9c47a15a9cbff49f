"""The stages of augmentation: which function carries out which techniques, on which random numbers.

A new technique is one function and one entry of `STAGES` here, and its name in the recipe's vocabulary. Imports keras
at the top: only processes that train load this file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from toprung.spaces.definition.recipe_vocabulary import COLOR_ONLY, STANDARD
from toprung.trainables.augment.color import (
    add_noise,
    blur,
    change_contrast_and_brightness,
    change_saturation_and_hue,
)
from toprung.trainables.augment.geometry import Strengths, cut_out, transform
from toprung.trainables.augment.mixing import mix

if TYPE_CHECKING:
    from toprung.trainables.backend.tensors import Tensor

NOISE_FIELDS = 4


class StageInputs(NamedTuple):
    """What a stage reads beside the images.

    strengths: of each of its techniques, in [0, 1]: a scalar, or float32 (batch,) with one for each image.
    flip: a scalar; above 0 half the images are to be mirrored.
    draws: float32 (batch, standard_draws of the stage), uniform in [-1, 1).
    more_draws: float32 (batch, extended_draws of the stage); empty where the standard set alone is built in.
    fields: normal numbers, float32 (NOISE_FIELDS, H, W, C), the same for the whole batch; empty as above.
    """

    strengths: Strengths
    flip: Tensor
    draws: Tensor
    more_draws: Tensor = np.zeros((0, 0), np.float32)
    fields: Tensor = np.zeros((0, 0, 0, 0), np.float32)


@dataclass(frozen=True)
class Stage:
    """Changes each image by itself, for one technique or for several that share a pass.

    apply: from images, float32 (batch, H, W, C) with values 0 to 255, to such images.
    standard_draws, extended_draws: the random numbers it needs for an image, always and beyond the standard set.
    is_conditional: skipped in batches for which none of its techniques is on; False where skipping saves nothing.
    flips: carries out the flip too.
    """

    techniques: tuple[str, ...]
    apply: Callable[[Tensor, StageInputs], Tensor]
    standard_draws: int = 0
    extended_draws: int = 0
    is_conditional: bool = True
    flips: bool = False

    @property
    def is_standard(self) -> bool:
        """Whether it carries out techniques of the standard set."""
        return any(name in STANDARD for name in self.techniques)

    @property
    def needs_color(self) -> bool:
        """Whether it does nothing to grey images."""
        return set(self.techniques) <= set(COLOR_ONLY)


@dataclass(frozen=True)
class MixingStage:
    """Mixes the images of a batch with each other, and their targets; runs after every other stage."""

    techniques: tuple[str, ...]
    apply: Callable[[Tensor, Tensor, StageInputs], tuple[Tensor, Tensor]]
    extended_draws: int
    standard_draws: int = 0


def _transform(images: Tensor, inputs: StageInputs) -> Tensor:
    crop_draws = inputs.more_draws if "crop" in inputs.strengths else None
    return transform(images, inputs.strengths, inputs.flip, inputs.draws, crop_draws)


def _contrast(images: Tensor, inputs: StageInputs) -> Tensor:
    strengths = inputs.strengths
    return change_contrast_and_brightness(
        images, strengths["contrast"], strengths["brightness"], inputs.draws
    )


def _color(images: Tensor, inputs: StageInputs) -> Tensor:
    strengths = inputs.strengths
    return change_saturation_and_hue(images, strengths["saturation"], strengths["hue"], inputs.more_draws)


def _blur(images: Tensor, inputs: StageInputs) -> Tensor:
    return blur(images, inputs.strengths["blur"], inputs.more_draws[:, 0])


def _noise(images: Tensor, inputs: StageInputs) -> Tensor:
    return add_noise(images, inputs.strengths["noise"], inputs.more_draws, inputs.fields)


def _cutout(images: Tensor, inputs: StageInputs) -> Tensor:
    return cut_out(images, inputs.strengths["cutout"], inputs.draws)


def _mix(images: Tensor, targets: Tensor, inputs: StageInputs) -> tuple[Tensor, Tensor]:
    return mix(images, targets, inputs.strengths["mixup"], inputs.strengths["cutmix"], inputs.more_draws)


# Stages run in this order, and random numbers are handed out in it: a new stage goes to the end.
STAGES: tuple[Stage | MixingStage, ...] = (
    Stage(("rotation", "zoom", "translation", "crop"), _transform, 5, 3, flips=True),
    Stage(("contrast", "brightness"), _contrast, 2, is_conditional=False),
    Stage(("saturation", "hue"), _color, 0, 2),
    Stage(("blur",), _blur, 0, 1),
    MixingStage(("mixup", "cutmix"), _mix, 4),
    Stage(("noise",), _noise, 0, NOISE_FIELDS),
    Stage(("cutout",), _cutout, 2),
)


def _columns(counts: list[int]) -> tuple[slice, ...]:
    ends = list(accumulate(counts))
    return tuple(slice(end - count, end) for end, count in zip(ends, counts, strict=True))


STANDARD_COLUMNS = _columns([stage.standard_draws for stage in STAGES])
EXTENDED_COLUMNS = _columns([stage.extended_draws for stage in STAGES])
"""The columns of each stage's random numbers among those that are always drawn, and among those beyond."""
