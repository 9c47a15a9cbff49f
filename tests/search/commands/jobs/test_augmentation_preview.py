"""The contact sheet of `toprung check --preview`: what it shows, and where it may be written."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from toprung.search.commands.jobs.augmentation_preview import (
    STRENGTHS,
    AugmentationUsage,
    draw_sheet,
    examples,
    sheet_rows,
)
from toprung.search.commands.output_path import picture_target
from toprung.spaces.definition.recipe_vocabulary import TECHNIQUES
from toprung.spaces.errors import InputError
from toprung.spaces.families.registry import load_space
from toprung.trainables.task.task import Split


@pytest.mark.parametrize("name", ["out.pdf", "out", "nowhere/out.png"])
def test_a_file_that_cannot_be_an_image_is_refused_before_any_work(name: str, tmp_path) -> None:
    with pytest.raises(InputError, match="--preview"):
        picture_target(tmp_path / name, "--preview")


def test_each_technique_has_a_row_that_says_whether_the_job_uses_it() -> None:
    space = load_space("cnn", {"augment_set": "photo", "flip": False, "augment": 0.4})
    usage = AugmentationUsage.of(space)
    notes = {row.title: row.note for row in sheet_rows(usage)}
    assert set(TECHNIQUES) <= set(notes)
    assert notes["photo set"] == notes["blur"] == "in every trial"
    assert notes["flip"] == notes["mixup"] == notes["standard set"] == "not in this job"
    assert usage.headline() == "this job trains at strength 0.40"
    grey = {row.title for row in sheet_rows(usage, in_colour=False)}
    assert set(notes) - grey == {"saturation", "hue"}


def test_a_job_that_searches_everything_says_so() -> None:
    usage = AugmentationUsage.of(load_space("cnn"))
    assert usage.headline() == "this job searches strengths from 0.0 to 0.6"
    assert {row.note for row in sheet_rows(usage)} == {"in some trials"}


def test_a_space_without_augmentation_leaves_images_as_they_are() -> None:
    usage = AugmentationUsage.of(lambda trial: {"units": 3})
    assert "does not augment its images" in usage.headline()
    assert {row.note for row in sheet_rows(usage)} == {"not in this job"}


def test_examples_are_of_different_classes_and_not_blank() -> None:
    images = np.zeros((30, 4, 4, 1), np.uint8)
    images[[7, 29], :2] = 255
    labels = np.repeat([0, 1, 2], 10).astype(np.int32)
    chosen = examples(Split(images, labels), classes=3)
    assert chosen.shape == (2, 4, 4, 1)
    assert (chosen.max(axis=(1, 2, 3)) == 255).all()


def test_an_image_of_one_strong_colour_is_blank_too() -> None:
    images = np.zeros((20, 4, 4, 3), np.uint8)
    images[:, :, :, 0] = 255
    images[3, :2, :, 1] = 60
    chosen = examples(Split(images, np.zeros(20, np.int32)), classes=1, count=1)
    assert np.array_equal(chosen[0], images[3])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_has_a_tile_for_each_row_strength_and_image(channels: int) -> None:
    rows = list(sheet_rows(AugmentationUsage.of(lambda trial: {})))[:3]
    one = np.zeros((len(STRENGTHS), 2, 90, 60, channels), np.uint8)
    sheets = [np.asarray(draw_sheet("title", "note", rows, [one + shade] * 3)) for shade in (0, 200)]
    tiles = (sheets[0] != sheets[1]).any(axis=-1).sum()
    assert tiles == 3 * len(STRENGTHS) * 2 * 76 * 76


@pytest.mark.slow
def test_check_draws_the_jobs_own_images(toprung, job_file, tmp_path) -> None:
    from PIL import Image

    out = tmp_path / "out.png"
    ended = toprung("check", job_file(), "--preview", out).wait()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"preview    {out}" in ended.stdout
    with Image.open(out) as sheet:
        pixels = np.asarray(sheet.convert("L"))
    assert pixels.shape[0] > 1000
    assert pixels.std() > 40  # white paper alone would have 0


@pytest.mark.slow
def test_strength_zero_shows_the_images_themselves_and_more_changes_them_more() -> None:
    from toprung.search.commands.jobs.augmentation_preview import augmented

    images = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 3), dtype=np.uint8)
    for row in sheet_rows(AugmentationUsage.of(lambda trial: {})):
        sheet = augmented(images, row)
        assert np.array_equal(sheet[0], images)
        assert not np.array_equal(sheet[-1], images), row.title


def test_check_without_a_preview_loads_no_tensorflow(toprung, job_file) -> None:
    import subprocess
    from pathlib import Path

    code = (
        "import sys; from toprung.search.cli import main; main(sys.argv[1:]);"
        "print([name for name in ('tensorflow', 'keras', 'ray', 'mlflow') if name in sys.modules])"
    )
    root = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", code, "check", str(job_file())],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines()[-1] == "[]"
