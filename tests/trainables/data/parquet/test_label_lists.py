"""Labels that are lists: rows of a matrix, or the numbers of an image's classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from toprung.spaces.errors import InputError
from toprung.trainables.data.parquet.label_lists import LabelLists, as_arrays, is_list


def lists(*rows: tuple[Any, ...], name: str = "train.parquet") -> LabelLists:
    return LabelLists(rows, name)


@pytest.mark.parametrize(
    ("arrow_type", "expected"),
    [
        (pa.list_(pa.int64()), True),
        (pa.list_(pa.int8(), 4), True),
        (pa.large_list(pa.int64()), True),
        (pa.int64(), False),
        (pa.struct({"a": pa.int64()}), False),
    ],
)
def test_every_arrow_list_is_a_list(arrow_type: pa.DataType, expected: bool) -> None:
    assert is_list(arrow_type) is expected


def test_numbers_of_several_files_are_joined() -> None:
    labels = as_arrays({"train": [np.array([0, 1]), np.array([2])], "test": [np.array([1])]}, None)
    assert {name: own.tolist() for name, own in labels.items()} == {"train": [0, 1, 2], "test": [1]}


def test_equally_long_lists_of_0_and_1_are_rows_of_the_matrix() -> None:
    splits = {
        "train": [lists((0, 1, 1), (0, 0, 0)), lists((1, 0, 0), name="more.parquet")],
        "test": [lists((1, 1, 1), name="test.parquet")],
    }
    labels = as_arrays(splits, None)
    assert labels["train"].tolist() == [[0, 1, 1], [0, 0, 0], [1, 0, 0]]
    assert labels["test"].tolist() == [[1, 1, 1]]
    assert labels["train"].dtype == np.int64


@pytest.mark.parametrize(
    ("rows", "matrix"),
    [
        (((0, 2), (1,), ()), [[1, 0, 1], [0, 1, 0], [0, 0, 0]]),
        (
            ((1,), (0,)),
            [[0, 1], [1, 0]],
        ),  # of one entry each: numbers, for a matrix of one column tells nothing
        (((0, 2), (2, 0), (1, 1)), [[1, 0, 1], [1, 0, 1], [0, 1, 0]]),
    ],
)
def test_other_lists_are_the_numbers_of_an_images_classes(rows: Any, matrix: list[list[int]]) -> None:
    assert as_arrays({"train": [lists(*rows)]}, None)["train"].tolist() == matrix


def test_names_say_how_many_classes_there_are() -> None:
    assert as_arrays({"train": [lists((0, 2), ())]}, ["a", "b", "c", "d"])["train"].shape == (2, 4)


@pytest.mark.parametrize(
    ("files", "names", "line"),
    [
        ([lists((0,)), np.array([1])], None, "data.label_column: lists in some files and numbers in others"),
        (
            [lists((0, 1), (1, None), (0,))],
            None,
            "train.parquet row 1: label None; class numbers from 0 to 1",
        ),
        ([lists((0,), (-1, 1))], None, "train.parquet row 1: label -1; class numbers from 0 to 1"),
        ([lists((0,), (5,))], None, "fewer images than classes: 2 images, labels up to 5"),
        ([lists((0,), (2, 1))], ["a", "b"], "train.parquet row 1: label 2; class numbers from 0 to 1"),
    ],
)
def test_other_content_is_refused_where_it_stands(files: list[Any], names: Any, line: str) -> None:
    with pytest.raises(InputError) as caught:
        as_arrays({"train": files}, names)
    assert line in str(caught.value)
