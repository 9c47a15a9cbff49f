"""`toprung check JOB --preview out.png`: a picture of the job's own images under its augmentation.

Keras, which no other part of `check` needs, is imported when the picture is drawn.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toprung.search.commands.output_path import picture_target
from toprung.spaces.definition.introspection import RecordingTrial
from toprung.spaces.definition.recipe_vocabulary import COLOR_ONLY, SETS, TECHNIQUES
from toprung.spaces.errors import InputError
from toprung.trainables.optimization.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from PIL import Image as PILImage

    from toprung.search.preparation.prepare import PreparedJob
    from toprung.trainables.task.task import Split

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHEET_IMAGES = 2
DRAWS = (
    24  # of each image; the sheet has the one at the upper quartile of change, which is typical and visible
)
SAMPLED_CONFIGS = 200
NOT_USED = "not in this job"
LEGEND = "Each row is one random draw at growing strength. The first rows are sets of techniques, the others one each."
TILE, GAP, GROUP_GAP, LABEL, HEAD = 76, 3, 14, 150, 90
INK, FAINT, PAPER, STRIPE = (25, 25, 25), (125, 125, 125), (255, 255, 255), (243, 243, 246)


class SheetRow(NamedTuple):
    """One row of the sheet: its title, a note under it, and the techniques switched on."""

    title: str
    note: str
    techniques: tuple[str, ...]
    flip: bool = False


@dataclass(frozen=True)
class AugmentationUsage:
    """How the configurations of a job use augmentation, from random samples of its space."""

    recipes: tuple[Recipe, ...]
    """At least one."""

    @classmethod
    def of(cls, space: Callable[[Any], Mapping[str, Any]]) -> AugmentationUsage:
        """Sample `space`; a configuration with an invalid recipe does not count."""
        rng, found = random.Random(0), []
        for _ in range(SAMPLED_CONFIGS):
            try:
                found.append(Recipe.from_config(space(RecordingTrial(rng, {}))))
            except InputError:
                continue
        return cls(tuple(found) or (Recipe(),))

    def how_often(self, is_on: Callable[[Recipe], bool]) -> str:
        """How often `is_on` holds: `in every trial`, `in some trials` or `not in this job`."""
        share = np.mean([recipe.augment > 0 and is_on(recipe) for recipe in self.recipes])
        if not share:
            return NOT_USED
        return "in every trial" if share > 0.999 else "in some trials"

    def headline(self) -> str:
        """The range of the strengths in one line."""
        strengths = [recipe.augment for recipe in self.recipes]
        if max(strengths) == 0:
            return "this job does not augment its images (augment is 0)"
        low, high = min(strengths), max(strengths)
        return (
            f"this job trains at strength {low:.2f}"
            if low == high
            else f"this job searches strengths from {low:.1f} to {high:.1f}"
        )


def write_preview(prepared: PreparedJob, path: str | Path) -> Path:
    """Draw the sheet of the job's training images and save it at `path`, in the format of its suffix.

    Raises:
        InputError: The file cannot be written.
    """
    target = picture_target(path, "--preview")
    images = examples(prepared.dataset.train(), len(prepared.dataset.classes))
    usage = AugmentationUsage.of(prepared.space)
    rows = list(sheet_rows(usage, in_colour=images.shape[-1] == 3))
    tiles = [augmented(images, row) for row in rows]
    title = f"{prepared.job.name}: training images under augmentation"
    try:
        draw_sheet(title, usage.headline(), rows, tiles).save(target)
    except OSError as error:
        raise InputError.single(
            "--preview", f"{target}: {error}", "must be a file that can be written"
        ) from error
    return target


def examples(split: Split, classes: int, count: int = SHEET_IMAGES) -> np.ndarray:
    """One image with contrast of each of `count` classes, uint8 (count, H, W, C)."""
    labels = np.asarray(split.labels)
    chosen: list[int] = []
    for number in np.linspace(0, classes - 1, min(count, classes)).round().astype(int).tolist():
        rows = np.flatnonzero(labels == number if labels.ndim == 1 else labels[:, number])[:20]
        # Contrast within each channel: a plain colour has none, whatever the difference of its channels.
        chosen.append(int(max(rows, key=lambda row: float(np.std(split.images[row], axis=(0, 1)).mean()))))
    return np.asarray(split.images[np.resize(chosen, count)])


def sheet_rows(usage: AugmentationUsage, in_colour: bool = True) -> Iterator[SheetRow]:
    """A row for each set of techniques, then one for the flip and for each technique alone."""
    for name, techniques in SETS.items():
        if techniques:
            note = usage.how_often(lambda recipe, name=name: recipe.augment_set == name)  # type: ignore[misc]
            yield SheetRow(f"{name} set", note, techniques)
    yield SheetRow("flip", usage.how_often(lambda recipe: recipe.flip), (), flip=True)
    for name in TECHNIQUES:
        if name in COLOR_ONLY and not in_colour:
            continue
        note = usage.how_often(lambda recipe, name=name: name in recipe.techniques)  # type: ignore[misc]
        yield SheetRow(name, note, (name,))


def augmented(images: np.ndarray, row: SheetRow) -> np.ndarray:
    """The same random draw of each image at every strength, uint8 (strengths, images, H, W, C)."""
    from keras import ops

    from toprung.trainables.augment.layer import Augment, switches_of

    batch = np.tile(images, (DRAWS, 1, 1, 1))
    targets = np.eye(2, dtype=np.float32)[np.arange(len(batch)) % 2]
    by_strength = []
    for strength in STRENGTHS:
        layer = Augment(full=True)  # a new layer each time: the same seed gives the same draws
        layer.strength.assign(strength)
        layer.flip.assign(float(row.flip))
        changed, _ = layer(batch, targets, switches=switches_of(row.techniques), training=True)
        by_strength.append(np.asarray(ops.convert_to_numpy(changed)).reshape(DRAWS, *images.shape))
    sheet = np.stack(by_strength)
    change = np.abs(sheet[-1].astype(np.int16) - images).mean(axis=(2, 3, 4))
    typical = np.argsort(change, axis=0)[DRAWS * 3 // 4]
    return sheet[:, typical, np.arange(len(images))]


def draw_sheet(
    title: str, headline: str, rows: Sequence[SheetRow], tiles: Sequence[np.ndarray]
) -> PILImage.Image:
    """The sheet: a row for each of `rows`, a group of columns for each strength."""
    from PIL import Image, ImageDraw, ImageFont

    images = tiles[0].shape[1]
    group_width = images * (TILE + GAP) - GAP + GROUP_GAP
    size = (LABEL + len(STRENGTHS) * group_width + GAP, HEAD + len(rows) * (TILE + 2 * GAP) + GAP)
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    large, normal, small = (ImageFont.load_default(size=points) for points in (20, 14, 11))
    pen.text((12, 10), title, INK, large)
    pen.text((12, 38), f"{headline[0].upper()}{headline[1:]}. {LEGEND}", FAINT, small)
    for column, strength in enumerate(STRENGTHS):
        heading = f"{strength:g}" if column else "strength 0"
        pen.text((LABEL + column * group_width, HEAD - 22), heading, INK, normal)
    for number, (row, row_tiles) in enumerate(zip(rows, tiles, strict=True)):
        top = HEAD + number * (TILE + 2 * GAP)
        if number % 2 == 0:
            pen.rectangle((0, top - GAP, size[0], top + TILE + GAP - 1), STRIPE)
        is_used = row.note != NOT_USED
        pen.text((12, top + 20), row.title, INK if is_used else FAINT, normal)
        pen.text((12, top + 40), row.note, FAINT, small)
        for column, index in product(range(len(STRENGTHS)), range(images)):
            left = LABEL + column * group_width + index * (TILE + GAP)
            sheet.paste(_tile(row_tiles[column, index]), (left, top))
    return sheet


def _tile(image: np.ndarray) -> PILImage.Image:
    from PIL import Image

    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB")
    is_small = max(image.shape[:2]) < TILE
    return picture.resize((TILE, TILE), Image.Resampling.NEAREST if is_small else Image.Resampling.LANCZOS)
