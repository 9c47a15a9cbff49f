"""Arrays that are no labelled images are refused in one line: which file, split and row, and what is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from toprung.trainables.data.dataset import DataSpec, check

if TYPE_CHECKING:
    from pathlib import Path


def make_npz(path: Path, **arrays: Any) -> Path:
    valid = {"images": np.zeros((12, 8, 8, 3), np.uint8), "labels": np.arange(12) % 2}
    np.savez(path, **{**valid, **arrays})
    return path


ARRAYS: dict[str, tuple[dict[str, Any], str]] = {
    "negative label": ({"labels": np.arange(12) - 1}, "train row 0: label -1; class numbers"),
    "fractional label": ({"labels": np.arange(12) / 2}, "row 1: label 0.5 (and 5 more)"),
    "NaN label": ({"labels": np.array([0, 1, np.nan] * 4)}, "row 2: label nan (and 3 more)"),
    "infinite label": ({"labels": np.array([0, 1, np.inf] * 4)}, "row 2: label inf"),
    "a text that is no class": (
        {"labels": np.array(["a", "x"] * 6), "classes": np.array(["a", "b"])},
        "set.npz train row 1: label 'x'; one of a, b",
    ),
    "labels of rank 3": ({"labels": np.zeros((12, 2, 2))}, "labels of shape (12, 2, 2)"),
    "a matrix of more than 0 and 1": (
        {"labels": np.array([[0, 1], [1, 2]] * 6)},
        "set.npz train row 1: label 2 (and 5 more); 0 and 1, one for each class",
    ),
    "a matrix and too few names": (
        {"labels": np.array([[0, 1, 1], [1, 0, 1]] * 6), "classes": np.array(["a", "b"])},
        "train: labels of shape (12, 3); 2 columns, one for each class",
    ),
    "a label without a name": (
        {"classes": np.array(["a"])},
        "set.npz train row 1: label 1 is out of range; 0 to 0: there are 1 classes",
    ),
    "a label far out": ({"labels": np.array([0, 2**31 - 1] * 6)}, "fewer images than classes: 12 images"),
    "a class named twice": ({"classes": np.array(["a", "a"])}, "class 'a' is named twice"),
    "a name for classes": ({"classes": np.array("ab")}, "classes given as 'ab'; a list"),
    "one class": ({"labels": np.zeros(12, int)}, "1 class (0)"),
    "a label too many": ({"labels": np.arange(13) % 2}, "13 labels for 12 images"),
    "images of rank 2": ({"images": np.zeros((12, 64), np.uint8)}, "images of shape (12, 64)"),
    "images of rank 5": (
        {"images": np.zeros((12, 1, 8, 8, 3), np.uint8)},
        "images of shape (12, 1, 8, 8, 3)",
    ),
    "channels first": (
        {"images": np.zeros((12, 3, 8, 8), np.uint8)},
        "channels come first here: save x.transpose(0, 2, 3, 1)",
    ),
    "transparency": ({"images": np.zeros((12, 8, 8, 4), np.uint8)}, "save x[..., :3]"),
    "no pixels": ({"images": np.zeros((12, 0, 8, 3), np.uint8)}, "images of shape (12, 0, 8, 3)"),
    "float images": (
        {"images": np.zeros((12, 8, 8, 3), np.float32)},
        "values 0 to 255; save (x * 255).round().astype('uint8') where values run from 0 to 1",
    ),
    "16-bit images": ({"images": np.zeros((12, 8, 8, 3), np.uint16)}, "save (x // 257).astype('uint8')"),
    "no images": (
        {"images": np.zeros((0, 8, 8, 3), np.uint8), "labels": np.zeros(0, int)},
        "no training images",
    ),
    "pickled objects": ({"images": np.array([None] * 12)}, "cannot be read"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_that_cannot_be_used_say_why(case: str, tmp_path: Path, problem_of) -> None:
    arrays, expected = ARRAYS[case]
    path = make_npz(tmp_path / "set.npz", **arrays)
    where, text = problem_of(DataSpec("npz", str(path)), tmp_path / "cache")
    assert where == "data.path"
    assert expected in text


def test_the_key_says_in_what_the_shapes_of_splits_differ(tmp_path: Path, problem_of) -> None:
    images, labels = np.zeros((12, 8, 8, 3), np.uint8), np.arange(12) % 2
    for key, other in {"data.channels": images[..., :1], "data.image_size": images[:, :4]}.items():
        path = tmp_path / "set.npz"
        np.savez(path, x_train=images, y_train=labels, x_test=other, y_test=labels)
        assert problem_of(DataSpec("npz", str(path)), tmp_path / "cache")[0] == key


def test_a_test_label_that_training_never_saw_is_out_of_range(tmp_path: Path, problem_of) -> None:
    images, labels = np.zeros((12, 8, 8, 3), np.uint8), np.arange(12) % 2
    np.savez(tmp_path / "set.npz", x_train=images, y_train=labels, x_test=images, y_test=labels * 7)
    text = problem_of(DataSpec("npz", str(tmp_path / "set.npz")), tmp_path / "cache")[1]
    assert text == "data.path: set.npz test row 1: label 7 is out of range; 0 to 1: there are 2 classes"


def test_a_test_split_without_images_is_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    images, labels = np.zeros((12, 8, 8, 3), np.uint8), np.arange(12) % 2
    np.savez(tmp_path / "set.npz", x_train=images, y_train=labels, x_test=images[:0], y_test=labels[:0])
    problems = check(DataSpec("npz", str(tmp_path / "set.npz")))
    assert [str(problem) for problem in problems] == [
        "data.path: no test images; at least one, or no such split"
    ]


def test_every_bad_split_of_an_npz_is_named_at_once(tmp_path: Path) -> None:
    images, labels = np.zeros((12, 8, 8), np.float32), np.arange(12) % 2
    np.savez(tmp_path / "set.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    assert len(check(DataSpec("npz", str(tmp_path / "set.npz")))) == 2


def test_an_npz_without_the_known_names_lists_what_it_holds(tmp_path: Path, problem_of) -> None:
    np.savez(tmp_path / "set.npz", pictures=np.zeros(3))
    assert "holds pictures; x_train" in problem_of(DataSpec("npz", str(tmp_path / "set.npz")), tmp_path)[1]
    (tmp_path / "text.npz").write_text("no archive")
    assert "cannot be read" in problem_of(DataSpec("npz", str(tmp_path / "text.npz")), tmp_path)[1]
