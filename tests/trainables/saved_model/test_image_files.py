"""Image files as a saved model takes them: any size and format, by the rules of its training data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from toprung.spaces.errors import InputError
from toprung.spaces.user_code.source_files import SourceFile
from toprung.trainables.data.decoding.decode import UnreadableImageError, pixels
from toprung.trainables.data.source_rules.spec import DataSpec
from toprung.trainables.saved_model.description import ModelDescription, describe_file, description_of
from toprung.trainables.saved_model.image_files import Unreadable, fitted, image_batches, image_files
from toprung.trainables.saved_model.predictions import Predictions, label_texts

ABOUT = ModelDescription(
    "t00001-s7", "pets", "t00001", ("cat", "dog"), "softmax", (16, 16, 3), "crop", 1.25, "a" * 64, "b" * 64, "0.1.0",
    SourceFile("my_models.py:Family", "class Family: pass\n"),
)  # fmt: skip


def picture(path: Path, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).convert(mode).save(path)
    return path


def test_a_file_says_what_it_takes_and_where_it_comes_from(tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(InputError, match="does not say what it takes"):
        description_of(path)
    describe_file(path, ABOUT)
    assert description_of(path) == ABOUT
    path.write_bytes(b"no archive")
    with pytest.raises(InputError, match="is no such file, or is damaged"):
        description_of(path)


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_a_file_becomes_what_it_would_have_become_in_the_training(
    tmp_path: Path, fit: Any, mode: str
) -> None:
    path = picture(tmp_path / "a.png", mode=mode)
    (batch,) = image_batches([path], replace(ABOUT, fit=fit))
    assert not isinstance(batch, Unreadable)
    expected = pixels(path, DataSpec(source="folder", image_size=16, channels=3, fit=fit))
    np.testing.assert_array_equal(batch.images[0], expected)


def test_what_is_no_image_is_named_and_the_others_keep_their_order(tmp_path: Path) -> None:
    files = [picture(tmp_path / f"{number}.png") for number in range(5)]
    (tmp_path / "2.png").write_bytes(b"nonsense")
    found = list(image_batches(files, ABOUT, size=2))
    assert [each.file for each in found if isinstance(each, Unreadable)] == [str(files[2])]
    read = [name for each in found if not isinstance(each, Unreadable) for name in each.files]
    assert read == [str(file) for file in (*files[:2], *files[3:])]


def test_folders_are_searched_and_what_is_missing_or_empty_is_told_at_once(tmp_path: Path) -> None:
    inner, named = picture(tmp_path / "a" / "b" / "x.JPG"), picture(tmp_path / "a" / "y.png")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    picture(tmp_path / "a" / ".thumbs" / "z.png")
    (tmp_path / "empty").mkdir()
    plain = picture(tmp_path / "a" / "z.png").rename(tmp_path / "a" / "plain")
    found = image_files([str(tmp_path / "a"), str(named)])
    assert found.images == (inner, plain, named)
    assert found.others == (tmp_path / "a" / "notes.txt",)
    with pytest.raises(InputError) as caught:
        image_files([str(tmp_path / "empty"), str(tmp_path / "gone")])
    assert [problem.given.rpartition("/")[2] for problem in caught.value.problems] == [
        "empty holds no images",
        "gone does not exist",
    ]
    with pytest.raises(InputError, match="none given"):
        image_files([])


def test_a_folder_that_may_not_be_listed_is_told(tmp_path: Path, forbid: Callable[[Path], None]) -> None:
    (tmp_path / "a" / "shut").mkdir(parents=True)
    picture(tmp_path / "a" / "y.png")
    forbid(tmp_path / "a" / "shut")
    with pytest.raises(InputError, match=r"a/shut cannot be read \(Permission denied\)"):
        image_files([str(tmp_path / "a")])


def test_where_all_images_had_one_size_others_are_refused(tmp_path: Path) -> None:
    about = replace(ABOUT, fit=None, image_shape=(30, 40, 3))
    fits, not_fits = image_batches(
        [picture(tmp_path / "a.png"), picture(tmp_path / "b.png", (41, 30))], about
    )
    if isinstance(fits, Unreadable):
        fits, not_fits = not_fits, fits
    assert isinstance(not_fits, Unreadable) and "41x30 pixels, must be 40x30" in not_fits.reason


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((20, 20, 3)), "float64"),
        (np.zeros((20, 20, 3), np.int32), "int32"),
        (np.zeros((2, 20, 20, 3), np.uint8), "shape"),
        (np.zeros((20, 20, 2), np.uint8), "shape"),
        (np.zeros((0, 20, 3), np.uint8), "shape"),
    ],
)
def test_an_array_that_is_no_image_is_refused(image: np.ndarray, reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=reason):
        fitted(image, ABOUT)


def test_an_array_of_any_size_is_fitted() -> None:
    for shape in ((20, 30), (20, 30, 1), (20, 30, 3), (16, 16, 3)):
        assert fitted(np.zeros(shape, np.uint8), ABOUT).shape == (16, 16, 3)


def test_outputs_become_labels_of_any_type_of_task() -> None:
    softmax = Predictions.of(np.array([[0.2, 0.8], [0.9, 0.1]]), "softmax")
    assert label_texts(softmax.labels, ("cat", "dog")) == ["dog", "cat"]
    assert softmax.confidence == pytest.approx([0.8, 0.9])
    binary = Predictions.of(np.array([[0.8], [0.1]]), "binary")
    assert binary.probabilities == pytest.approx(np.array([[0.2, 0.8], [0.9, 0.1]]))
    several = Predictions.of(np.array([[0.8, 0.9], [0.1, 0.2]]), "multilabel")
    assert label_texts(several.labels, ("cat", "dog")) == ["cat + dog", ""]
    assert several.confidence == pytest.approx([0.72, 0.72])
