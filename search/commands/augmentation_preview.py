"""`toprung check JOB --preview out.png`: what augmentation does to the job's own images, on one sheet.

Loads Keras, which no other part of `check` needs, when the sheet is made.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toprung.search.commands.output_path import picture_target
from toprung.spaces.definition.introspection import RecordingTrial
from toprung.spaces.definition.recipe_vocabulary import SETS, TECHNIQUES
from toprung.spaces.errors import InputError
from toprung.trainables.optimization.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from PIL import Image as PILImage

    from toprung.search.preparation.prepare import PreparedJob
    from toprung.trainables.task.task import Split

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHOWN_IMAGES = 2
DRAWS = 24  # of each image, of which the one in the upper quarter by change is shown: typical, and visible
SAMPLES = 200
COLOURS = ("saturation", "hue")  # which grey images do not have
EXPLAINED = "Along a row the same random draw grows stronger; the first rows turn a whole set on, the others one thing."
TILE, GAP, GROUP_GAP, LABEL, HEAD = 76, 3, 14, 150, 90
INK, FAINT, PAPER, STRIPE = (25, 25, 25), (125, 125, 125), (255, 255, 255), (243, 243, 246)


class SheetRow(NamedTuple):
    """One row of the sheet: its name, what is said under it, and what is switched on."""

    title: str
    note: str
    techniques: tuple[str, ...]
    flip: bool = False


@dataclass(frozen=True)
class AugmentationUsage:
    """What the configurations of a job do with augmentation, seen over random walks through its space."""

    recipes: tuple[Recipe, ...]
    """At least one."""

    @classmethod
    def of(cls, space: Callable[[Any], Mapping[str, Any]]) -> AugmentationUsage:
        """Walk through `space`; configurations with an impossible recipe do not count."""
        rng, found = random.Random(0), []
        for _ in range(SAMPLES):
            try:
                found.append(Recipe.from_config(space(RecordingTrial(rng, {}))))
            except InputError:
                continue
        return cls(tuple(found) or (Recipe(),))

    def how_often(self, is_on: Callable[[Recipe], bool]) -> str:
        """`in every trial`, `in some trials` or `not in this job`."""
        share = np.mean([recipe.augment > 0 and is_on(recipe) for recipe in self.recipes])
        if not share:
            return "not in this job"
        return "in every trial" if share > 0.999 else "in some trials"

    def headline(self) -> str:
        """The strengths the job draws from, in one line."""
        strengths = [recipe.augment for recipe in self.recipes]
        if max(strengths) == 0:
            return "this job leaves its images as they are (augment is 0)"
        low, high = min(strengths), max(strengths)
        return (
            f"this job trains at strength {low:.2f}"
            if low == high
            else f"this job searches strengths from {low:.1f} to {high:.1f}"
        )


def write_preview(prepared: PreparedJob, path: str | Path) -> Path:
    """Draw the sheet for the job's training images and save it at `path`; the format follows from its suffix.

    Raises `InputError` when the file cannot be written there.
    """
    target = picture_target(path, "--preview")
    images = examples(prepared.dataset.train(), len(prepared.dataset.classes))
    use = AugmentationUsage.of(prepared.space)
    rows = list(sheet_rows(use, in_colour=images.shape[-1] == 3))
    tiles = [varied(images, row) for row in rows]
    title = f"{prepared.job.name}: training images under augmentation"
    try:
        drawn(title, use.headline(), rows, tiles).save(target)
    except OSError as error:
        raise InputError.single("--preview", f"{target}: {error}", "a file that can be written") from error
    return target


def examples(split: Split, classes: int, count: int = SHOWN_IMAGES) -> np.ndarray:
    """`count` images of different classes, uint8 (count, H, W, C): the first ones with some contrast."""
    labels = np.asarray(split.labels)
    chosen: list[int] = []
    for number in np.linspace(0, classes - 1, min(count, classes)).round().astype(int).tolist():
        own = np.flatnonzero(labels == number if labels.ndim == 1 else labels[:, number])[:20]
        # Contrast within each channel: a plain colour has none, however far apart its channels are.
        chosen.append(int(max(own, key=lambda row: float(np.std(split.images[row], axis=(0, 1)).mean()))))
    return np.asarray(split.images[np.resize(chosen, count)])


def sheet_rows(use: AugmentationUsage, in_colour: bool = True) -> Iterator[SheetRow]:
    """The sets as a whole, then the flip and every technique alone."""
    for name, techniques in SETS.items():
        if techniques:
            note = use.how_often(lambda recipe, own=name: recipe.augment_set == own)  # type: ignore[misc]
            yield SheetRow(f"{name} set", note, techniques)
    yield SheetRow("flip", use.how_often(lambda recipe: recipe.flip), (), flip=True)
    for name in TECHNIQUES:
        if name in COLOURS and not in_colour:
            continue
        note = use.how_often(lambda recipe, own=name: own in recipe.techniques)  # type: ignore[misc]
        yield SheetRow(name, note, (name,))


def varied(images: np.ndarray, row: SheetRow) -> np.ndarray:
    """Uint8 (strengths, images, H, W, C): the same draw of each image at every strength."""
    from keras import ops

    from toprung.trainables.augment.layer import Augment, switches_of

    batch = np.tile(images, (DRAWS, 1, 1, 1))
    targets = np.eye(2, dtype=np.float32)[np.arange(len(batch)) % 2]
    found = []
    for strength in STRENGTHS:
        layer = Augment(full=True)  # anew each time: the same seed, the same draws
        layer.strength.assign(strength)
        layer.flip.assign(float(row.flip))
        changed, _ = layer(batch, targets, switches=switches_of(row.techniques), training=True)
        found.append(np.asarray(ops.convert_to_numpy(changed)).reshape(DRAWS, *images.shape))
    sheet = np.stack(found)
    change = np.abs(sheet[-1].astype(np.int16) - images).mean(axis=(2, 3, 4))
    typical = np.argsort(change, axis=0)[DRAWS * 3 // 4]
    return sheet[:, typical, np.arange(len(images))]


def drawn(title: str, headline: str, rows: Sequence[SheetRow], tiles: Sequence[np.ndarray]) -> PILImage.Image:
    """The sheet: a row a technique, a group of columns a strength."""
    from PIL import Image, ImageDraw, ImageFont

    images = tiles[0].shape[1]
    group = images * (TILE + GAP) - GAP + GROUP_GAP
    size = (LABEL + len(STRENGTHS) * group + GAP, HEAD + len(rows) * (TILE + 2 * GAP) + GAP)
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    large, normal, small = (ImageFont.load_default(size=points) for points in (20, 14, 11))
    pen.text((12, 10), title, INK, large)
    pen.text((12, 38), f"{headline[0].upper()}{headline[1:]}. {EXPLAINED}", FAINT, small)
    for column, strength in enumerate(STRENGTHS):
        pen.text(
            (LABEL + column * group, HEAD - 22), f"{strength:g}" if column else "strength 0", INK, normal
        )
    for number, (row, own) in enumerate(zip(rows, tiles, strict=True)):
        top = HEAD + number * (TILE + 2 * GAP)
        if number % 2 == 0:
            pen.rectangle((0, top - GAP, size[0], top + TILE + GAP - 1), STRIPE)
        is_used = row.note != "not in this job"
        pen.text((12, top + 20), row.title, INK if is_used else FAINT, normal)
        pen.text((12, top + 40), row.note, FAINT, small)
        for column in range(len(STRENGTHS)):
            for index in range(images):
                left = LABEL + column * group + index * (TILE + GAP)
                sheet.paste(_tile(own[column, index]), (left, top))
    return sheet


def _tile(image: np.ndarray) -> PILImage.Image:
    from PIL import Image

    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB")
    is_small = max(image.shape[:2]) < TILE
    return picture.resize((TILE, TILE), Image.Resampling.NEAREST if is_small else Image.Resampling.LANCZOS)
