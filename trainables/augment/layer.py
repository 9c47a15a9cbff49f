"""Image augmentation on the device, in batches, from one strength in [0, 1].

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from toprung.spaces.definition.recipe_vocabulary import MIXES, STANDARD, TECHNIQUES
from toprung.trainables.augment.stages import (
    EXTENDED_COLUMNS,
    NOISE_FIELDS,
    STAGES,
    STANDARD_COLUMNS,
    MixingStage,
    Stage,
    StageInputs,
)
from toprung.trainables.backend.operations import ops
from toprung.trainables.models.layers import RuntimeLayer

if TYPE_CHECKING:
    from collections.abc import Collection

    from toprung.trainables.backend.tensors import Scalar, Shape, Tensor

# Techniques that change each image by itself: `augment_picks` picks among them.
PICKABLE = tuple(name for name in TECHNIQUES if name not in MIXES)
STANDARD_DRAWS, EXTENDED_DRAWS = STANDARD_COLUMNS[-1].stop, EXTENDED_COLUMNS[-1].stop


def switches_of(names: Collection[str]) -> np.ndarray:
    """The switches for `Augment`, float32 (techniques,): 1 for each technique in `names`."""
    return np.array([name in names for name in TECHNIQUES], np.float32)


class Augment(RuntimeLayer):
    """Varies images, and with MixUp and CutMix their targets.

    It has two runtime hyperparameters: `augment`, the strength that every technique is scaled by (at 0 the output is
    the input, bit for bit), and `flip`.

    With `full` False only the standard set is built in, which shares one bilinear transform and one pass over the
    values (about 25 us for a 32x32x3 image on one CPU core). The other techniques stand behind conditions, which cost
    nothing at run time while they are off but lengthen every trace, so a configuration that uses none of them does
    without.
    """

    def __init__(self, full: bool = False, **kwargs: object) -> None:
        # Pixels need more than bfloat16's 8 bits, so mixed precision starts behind the augmentation.
        super().__init__(**{"dtype": "float32", **kwargs})
        self.full = full
        self.strength = self.add_runtime_hyperparameter("augment")
        self.flip = self.add_runtime_hyperparameter("flip")
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(
        self,
        images: Tensor,
        targets: Tensor | None = None,
        switches: Tensor | None = None,
        picks: Scalar = 0,
        training: bool = False,
    ) -> Any:
        """Vary a batch; outside training nothing changes.

        Args:
            images: (batch, H, W, C) with values 0 to 255.
            targets: Float32 (batch, classes); without them nothing is mixed.
            switches: Float32 in the order of `TECHNIQUES`, which turn techniques on and off without a new trace; the
                standard set without them.
            picks: Above 0, how many of the techniques that are on each image gets, drawn anew for each (RandAugment,
                Cubuk et al. 2020: their N). The flip and the mixing techniques are not counted.
            training: Whether to change anything.

        Returns:
            Images of the dtype given, and the targets if there are any.
        """
        if not training:
            return images if targets is None else (images, targets)
        switches = switches_of(STANDARD) if switches is None else switches
        floats = ops.cast(images, "float32")
        if self.full:
            varied, mixed = self._apply_all(floats, targets, switches, picks)
        else:
            varied, mixed = self._apply_standard(floats, switches), targets
        if keras.backend.is_int_dtype(images.dtype):
            varied = ops.round(varied)
        varied = ops.cast(varied, images.dtype)
        return varied if targets is None else (varied, mixed)

    def compute_output_shape(self, input_shape: Shape, *_: object) -> Shape:
        return input_shape

    def _apply_standard(self, images: Tensor, switches: Tensor) -> Tensor:
        strengths = {name: self.strength * switches[TECHNIQUES.index(name)] for name in STANDARD}
        draws, flip = self._uniform(images, STANDARD_DRAWS), self._flip_switch()
        for stage, columns in zip(STAGES, STANDARD_COLUMNS, strict=True):
            if isinstance(stage, Stage) and stage.is_standard:
                images = stage.apply(images, StageInputs(strengths, flip, draws[:, columns]))
        return images

    def _apply_all(
        self, images: Tensor, targets: Tensor | None, switches: Tensor, picks: Scalar
    ) -> tuple[Tensor, Tensor | None]:
        draws = self._uniform(images, STANDARD_DRAWS)
        more = self._uniform(images, EXTENDED_DRAWS + len(PICKABLE))
        # Drawn whether noise is on or not: a condition must not hold the only use of a seed. It is 1 in N of a batch.
        fields = keras.random.normal((NOISE_FIELDS, *images.shape[1:]), seed=self.seed_generator)
        picked = pick_techniques(switches[: len(PICKABLE)], picks, more[:, EXTENDED_DRAWS:])
        each = self.strength * picked
        strengths = {name: each[:, index] for index, name in enumerate(PICKABLE)}
        # Mixing needs one strength for the batch, as an image is mixed with another.
        strengths |= {name: self.strength * switches[TECHNIQUES.index(name)] for name in MIXES}
        is_on = {name: switches[index] > 0.0 for index, name in enumerate(TECHNIQUES)}
        flip = self._flip_switch()
        mixing: list[tuple[MixingStage, StageInputs]] = []
        for stage, columns, more_columns in zip(STAGES, STANDARD_COLUMNS, EXTENDED_COLUMNS, strict=True):
            inputs = StageInputs(strengths, flip, draws[:, columns], more[:, more_columns], fields)
            if isinstance(stage, MixingStage):
                mixing.append((stage, inputs))
            else:
                images = self._apply_stage(stage, images, inputs, is_on)
        if targets is None:
            return images, None
        for mixing_stage, inputs in mixing:
            images, targets = _apply_mixing(mixing_stage, images, targets, inputs, is_on)
        return images, targets

    def _apply_stage(
        self, stage: Stage, images: Tensor, inputs: StageInputs, is_on: dict[str, Tensor]
    ) -> Tensor:
        if stage.needs_color and images.shape[-1] != 3:
            return images
        if not stage.is_conditional:
            return stage.apply(images, inputs)
        flags = [is_on[name] for name in stage.techniques]
        flags = [inputs.flip > 0.0, *flags] if stage.flips else flags
        varied: Tensor = ops.cond(_any(flags), lambda: stage.apply(images, inputs), lambda: images)
        return varied

    def _uniform(self, images: Tensor, count: int) -> Tensor:
        """Random numbers, float32 (batch, count), uniform in [-1, 1)."""
        shape = (ops.shape(images)[0], count)
        numbers: Tensor = keras.random.uniform(shape, -1.0, 1.0, seed=self.seed_generator)
        return numbers

    def _flip_switch(self) -> Tensor:
        """1 when half the images are to be mirrored, which strength 0 overrules."""
        switch: Tensor = self.flip * ops.cast(self.strength > 0.0, "float32")
        return switch


def _apply_mixing(
    stage: MixingStage, images: Tensor, targets: Tensor, inputs: StageInputs, is_on: dict[str, Tensor]
) -> tuple[Tensor, Tensor]:
    flag = _any([is_on[name] for name in stage.techniques])
    mixed: tuple[Tensor, Tensor] = ops.cond(
        flag, lambda: stage.apply(images, targets, inputs), lambda: (images, targets)
    )
    return mixed


def _any(flags: list[Tensor]) -> Tensor:
    return ops.any(ops.stack(flags))


def pick_techniques(switches: Tensor, picks: Scalar, draws: Tensor) -> Tensor:
    """Leave each image `picks` of the techniques that are on, at random; all of them for 0.

    Args:
        switches: Float32 (techniques,), 1 for each technique that is on.
        picks: How many each image keeps.
        draws: Float32 (batch, techniques), uniform in [-1, 1): the highest numbers of an image are kept.

    Returns:
        Float32 (batch, techniques), 1 for each technique of each image.
    """
    lots = ops.where(switches > 0.0, draws, -2.0)
    ahead = ops.sum(ops.cast(lots[:, None, :] > lots[:, :, None], "float32"), axis=-1)
    picks = ops.cast(picks, "float32")
    kept = ops.logical_or(picks < 0.5, ahead < picks)
    return switches * ops.cast(kept, "float32")
