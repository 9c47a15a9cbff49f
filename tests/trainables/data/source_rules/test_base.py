"""The labels of every source are checked, and numbered classes get names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toprung.spaces.errors import InputError
from toprung.trainables.data.source_rules.base import (
    SourceSplit,
    checked_labels,
    file_stamp,
    listing_of,
)
from toprung.trainables.data.sources.arrays import ArrayImages


def split(labels: Any, name: str = "train") -> SourceSplit:
    array = np.asarray(labels, np.int64)
    return SourceSplit(ArrayImages(np.zeros((len(array), 2, 2, 1), np.uint8), name), array)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 2, 1], [0, 2, 1]),
        ([[0], [2]], [0, 2]),
        ([True, False], [1, 0]),
        (np.array([0.0, 3.0], np.float32), [0, 3]),
        (np.array([1, 0], np.uint8), [1, 0]),
        ([[0, 1], [1, 1]], [[0, 1], [1, 1]]),
    ],
)
def test_labels_become_int64(labels: Any, expected: list[Any]) -> None:
    checked = checked_labels(labels, "data.path", "set.npz train")
    assert checked.dtype == np.int64
    assert checked.tolist() == expected


@pytest.mark.parametrize(
    ("labels", "images", "line"),
    [
        ([0, -1, -2], None, "set.npz train row 1: label -1 (and 1 more); class numbers: integers from 0"),
        ([0.0, np.nan], None, "row 1: label nan; class numbers"),
        ([[0, 1], [2, 0]], None, "row 1: label 2; 0 and 1, one for each class"),
        (["a"], None, "labels of type <U1"),
        (np.zeros((2, 0)), None, "labels of shape (2, 0)"),
        (np.zeros((2, 2, 2)), None, "labels of shape (2, 2, 2)"),
        ([0, 1], 3, "2 labels for 3 images; one label for each image"),
        ([2**31], None, "label 2147483648"),
    ],
)
def test_other_labels_are_refused_with_the_first_wrong_row(
    labels: Any, images: int | None, line: str
) -> None:
    with pytest.raises(InputError) as caught:
        checked_labels(labels, "data.path", "set.npz train", images)
    (problem,) = caught.value.problems
    assert problem.where == "data.path"
    assert line in str(problem)


def test_classes_without_names_are_numbered() -> None:
    assert listing_of({"train": split([0, 2, 1])}, None, "data.path").classes == ("0", "1", "2")
    assert listing_of({"train": split([[0, 1], [1, 0]])}, None, "data.path").classes == ("0", "1")
    assert listing_of({"train": split([0, 1])}, ["a", "b", "c"], "data.path").classes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("splits", "names", "lines"),
    [
        (
            {"train": [0, 1], "val": [1, 7, 8], "test": [9]},
            None,
            [
                "data.path: val row 1: label 7 is out of range; 0 to 1: there are 2 classes",
                "data.path: test row 0: label 9 is out of range; 0 to 1: there are 2 classes",
            ],
        ),
        (
            {"train": [0, 1], "val": [[0, 1], [1, 0]]},
            None,
            ["data.path: val: labels of shape (2, 2); class numbers, as in train"],
        ),
        (
            {"train": [[0, 1], [1, 0]]},
            ["a", "b", "c"],
            ["data.path: train: labels of shape (2, 2); 3 columns, one for each class"],
        ),
        (
            {"train": [0, 1]},
            ["a", "a"],
            ["data.path: class 'a' is named twice; a name of its own for each class"],
        ),
        ({"train": [0, 1]}, "ab", ["data.path: classes given as 'ab'; a list of class names"]),
        (
            {"train": [0, 5]},
            None,
            [
                "data.path: fewer images than classes: 2 images, labels up to 5; "
                "labels from 0 to the number of classes - 1, each with images"
            ],
        ),
    ],
)
def test_labels_without_a_class_are_refused(splits: dict[str, Any], names: Any, lines: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        listing_of({name: split(labels, name) for name, labels in splits.items()}, names, "data.path")
    assert [str(problem) for problem in caught.value.problems] == lines


def test_a_stamp_changes_with_size_and_time_and_exists_for_an_absent_file(tmp_path: Path) -> None:
    file = tmp_path / "image.png"
    absent = file_stamp(file)
    file.write_bytes(b"1")
    present = file_stamp(file, "image.png")
    assert absent == f"{file} absent"
    assert present == f"image.png 1 {file.stat().st_mtime_ns}"
