"""Names of folders and files that mean a split, however people write them."""

from __future__ import annotations

import pytest

from toprung.trainables.data.source_rules.split_names import EITHER, resolved, split_file, split_folders

CASES: list[tuple[str, str]] = [
    ("train val test", "train val test"),
    ("Train Validation TEST", "train val test"),
    ("training_set test_set", "train test"),
    ("trainset valset testset", "train val test"),
    ("train_data dev-data", "train val"),
    ("train2017 val2017", "train val"),
    ("seg_train seg_test", "train test"),
    ("asl_alphabet_train asl_alphabet_test", "train test"),
    ("train dev eval", "train val test"),
    ("train eval", "train test"),
    ("train test eval", "train test val"),
    ("train valid test eval", "train val test -"),
    ("train holdout", "train test"),
    ("train hold_out val", "train test val"),
    ("cat dog", "- -"),
    ("train cat dog", "train - -"),
    ("Train Bus", "- -"),
    ("test_tube test_strip", "- -"),
    ("valley training_shoe", "- -"),
]


@pytest.mark.parametrize(("names", "splits"), CASES, ids=[names for names, _ in CASES])
def test_folders_mean_splits(names: str, splits: str) -> None:
    expected = {
        name: split for name, split in zip(names.split(), splits.split(), strict=True) if split != "-"
    }
    assert split_folders(names.split()) == expected


@pytest.mark.parametrize(
    ("stem", "split"),
    [
        ("train", "train"),
        ("train-00000-of-00002", "train"),
        ("train-00000-of-00001-a09b74b3ef9c3b56", "train"),
        ("validation-00000-of-00001", "val"),
        ("mnist_test", "test"),
        ("partial-train", "train"),
        ("dev", "val"),
        ("eval", EITHER),
        ("0000", None),
        ("metadata", None),
        ("trainees", None),
        ("train_test", None),
    ],
)
def test_files_mean_splits(stem: str, split: str | None) -> None:
    assert split_file(stem) == split


def test_either_becomes_what_is_missing() -> None:
    assert resolved({"a": "train", "b": EITHER}) == {"a": "train", "b": "test"}
    assert resolved({"a": "test", "b": EITHER}) == {"a": "test", "b": "val"}
    assert resolved({"a": "test", "v": "val", "b": EITHER}) == {"a": "test", "v": "val"}
