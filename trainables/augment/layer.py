"""Image augmentation on the device, in batches, from one strength in [0, 1].

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from toprung.spaces.definition.recipe_vocabulary import MIXES, STANDARD, TECHNIQUES
from toprung.trainables.augment.color import blurred, noised, recoloured, tinted
from toprung.trainables.augment.geometry import cut_out, moved
from toprung.trainables.augment.mixing import mixed
from toprung.trainables.models.layers import RuntimeLayer

if TYPE_CHECKING:
    from collections.abc import Callable

NOISE_FIELDS = 4
SINGLE = tuple(name for name in TECHNIQUES if name not in MIXES)
MOVES = ("rotation", "zoom", "translation", "crop")


def switches_of(names: Any) -> np.ndarray:
    """The switches for `Augment`, float32 (techniques,): 1 for each technique in `names`."""
    return np.array([name in names for name in TECHNIQUES], np.float32)


class Augment(RuntimeLayer):
    """Vary images (batch, H, W, C) with values 0 to 255, and with MixUp and CutMix their labels.

    Dials: `augment`, the strength that every technique is scaled by (at 0 the output is the input, bit for bit), and
    `flip`. `switches`, float32 in the order of `TECHNIQUES`, turns techniques on and off without a new trace; the
    standard set is on without it. `picks` above 0 leaves each image that many techniques of those that are on
    (RandAugment, Cubuk et al. 2020), which MixUp, CutMix and the flip are not counted among.

    Without `full` only the standard set is built in: it shares one bilinear transform and one pass over the values
    (about 25 us for a 32x32x3 image on one CPU core). The others stand behind conditions, which cost nothing when
    off at run time but lengthen every trace, so a configuration that uses none of them does without.

    Gives images of the dtype it was given, and `targets`, float32 (batch, classes), where those are passed. Outside
    training it does nothing.
    """

    def __init__(self, full: bool = False, **kwargs: Any) -> None:
        # Pixels need more than bfloat16's 8 bits, so mixed precision starts behind the augmentation.
        super().__init__(**{"dtype": "float32", **kwargs})
        self.full = full
        self.strength = self.add_runtime_hyperparameter("augment")
        self.flip = self.add_runtime_hyperparameter("flip")
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(
        self, images: Any, targets: Any = None, switches: Any = None, picks: Any = 0, training: bool = False
    ) -> Any:
        if not training:
            return images if targets is None else (images, targets)
        switches = switches_of(STANDARD) if switches is None else switches
        vary = self._full if self.full else self._standard
        varied, labels = vary(ops.cast(images, "float32"), targets, switches, picks)
        if keras.backend.is_int_dtype(images.dtype):
            varied = ops.round(varied)
        varied = ops.cast(varied, images.dtype)
        return varied if targets is None else (varied, labels)

    def compute_output_shape(self, input_shape: Any, *_: Any) -> Any:
        return input_shape

    def _standard(self, images: Any, targets: Any, switches: Any, _: Any) -> tuple[Any, Any]:
        amounts = {name: self.strength * switches[TECHNIQUES.index(name)] for name in STANDARD}
        draws = self._uniform(images, 9)
        varied = moved(images, amounts, self._mirrors(), draws)
        varied = recoloured(varied, amounts["contrast"], amounts["brightness"], draws[:, 5:])
        return cut_out(varied, amounts["cutout"], draws[:, 7:]), targets

    def _full(self, images: Any, targets: Any, switches: Any, picks: Any) -> tuple[Any, Any]:
        draws, more = self._uniform(images, 9), self._uniform(images, 10 + NOISE_FIELDS + len(SINGLE))
        # Drawn whether noise is on or not: a condition must not hold the only use of a seed. It is 1 in N of a batch.
        fields = keras.random.normal((NOISE_FIELDS, *images.shape[1:]), seed=self.seed_generator)
        single = switches[: len(SINGLE)]
        given = self.strength * _picked(single, picks, more[:, 10 + NOISE_FIELDS :])
        amounts = {name: given[:, index] for index, name in enumerate(SINGLE)}
        on = {name: switches[index] > 0.0 for index, name in enumerate(TECHNIQUES)}
        flip = self._mirrors()

        def geometry() -> Any:
            return moved(images, amounts, flip, draws, more[:, 0:3])

        def tint() -> Any:
            return tinted(varied, amounts["saturation"], amounts["hue"], more[:, 3:5])

        varied = ops.cond(_any(flip > 0.0, *(on[name] for name in MOVES)), geometry, lambda: images)
        varied = recoloured(varied, amounts["contrast"], amounts["brightness"], draws[:, 5:])
        if images.shape[-1] == 3:
            varied = ops.cond(_any(on["saturation"], on["hue"]), tint, lambda: varied)
        varied = _when(on["blur"], lambda x: blurred(x, amounts["blur"], more[:, 5]), varied)
        varied = _when(
            on["noise"],
            lambda x: noised(x, amounts["noise"], more[:, 10 : 10 + NOISE_FIELDS], fields),
            varied,
        )
        varied = _when(on["cutout"], lambda x: cut_out(x, amounts["cutout"], draws[:, 7:]), varied)
        if targets is None:
            return varied, targets
        mixup, cutmix = (self.strength * switches[TECHNIQUES.index(name)] for name in MIXES)
        both: tuple[Any, Any] = ops.cond(
            _any(on["mixup"], on["cutmix"]),
            lambda: mixed(varied, targets, mixup, cutmix, more[:, 6:10]),
            lambda: (varied, targets),
        )
        return both

    def _uniform(self, images: Any, count: int) -> Any:
        return keras.random.uniform((ops.shape(images)[0], count), -1.0, 1.0, seed=self.seed_generator)

    def _mirrors(self) -> Any:
        """1 when half the images are to be mirrored, which strength 0 overrules."""
        return self.flip * ops.cast(self.strength > 0.0, "float32")


def _when(active: Any, change: Callable[[Any], Any], images: Any) -> Any:
    return ops.cond(active, lambda: change(images), lambda: images)


def _any(*flags: Any) -> Any:
    return ops.any(ops.stack(flags))


def _picked(switches: Any, picks: Any, draws: Any) -> Any:
    """Float32 (batch, techniques): `switches`, of which each image keeps `picks` at random unless that is 0."""
    lots = ops.where(switches > 0.0, draws, -2.0)
    ahead = ops.sum(ops.cast(lots[:, None, :] > lots[:, :, None], "float32"), axis=-1)
    picks = ops.cast(picks, "float32")
    kept = ops.logical_or(picks < 0.5, ahead < picks)
    return switches * ops.cast(kept, "float32")
