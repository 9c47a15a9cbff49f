"""Folds: each image validates once, every class in every fold as evenly as counts allow, and the test stays sealed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import DataSpec, load
from toprung.trainables.data.decoding.folds import check_folds, fold_numbers

sizes = st.lists(st.integers(2, 40), min_size=2, max_size=6)
folds = st.integers(2, 10)
seeds = st.integers(0, 2**32)


def drawn(sizes: list[int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return labels, rng.random(len(labels))


@given(sizes, folds, seeds)
def test_folds_differ_by_one_image_at_most_in_all_and_in_each_class(
    sizes: list[int], folds: int, seed: int
) -> None:
    labels, ranks = drawn(sizes, seed)
    numbers = fold_numbers(labels, ranks, folds)
    for rows in (np.full(len(labels), True), *(labels == number for number in range(len(sizes)))):
        counts = np.bincount(numbers[rows], minlength=folds)
        assert len(counts) == folds and counts.max() - counts.min() <= 1


@given(sizes, folds, seeds)
def test_a_fold_depends_on_the_images_and_not_on_their_order(sizes: list[int], folds: int, seed: int) -> None:
    labels, ranks = drawn(sizes, seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    moved = fold_numbers(labels[order], ranks[order], folds)
    assert np.array_equal(moved, fold_numbers(labels, ranks, folds)[order])


def test_equal_images_stay_together_and_combinations_of_labels_are_spread() -> None:
    labels, ranks = drawn([30, 30], 0)
    twice = fold_numbers(np.repeat(labels, 2), np.repeat(ranks, 2), 5)
    assert np.array_equal(twice[::2], twice[1::2])
    marks = np.array([[0, 1], [1, 1], [1, 0]] * 10)
    numbers = fold_numbers(marks, np.random.default_rng(0).random(30), 5)
    for combination in marks[:3]:
        assert np.bincount(numbers[(marks == combination).all(axis=1)], minlength=5).tolist() == [2] * 5


def test_too_few_images_for_the_folds_are_refused() -> None:
    with pytest.raises(InputError, match=r"data\.folds: 5, and there are 4 images"):
        check_folds(4, {"a": 2, "b": 2}, 5)
    with pytest.raises(InputError, match=r"too few images of 'b' \(1\)"):
        check_folds(5, {"a": 4, "b": 1, "unused": 0}, 2)
    check_folds(3, {"a": 2, "b": 3}, 2)


@pytest.mark.parametrize("with_val", [False, True], ids=["drawn splits", "the source's own splits"])
def test_every_image_of_train_and_validation_validates_once_and_no_test_image_ever_does(
    tmp_path: Path, with_val: bool
) -> None:
    rng = np.random.default_rng(0)
    arrays = {"images": rng.integers(0, 256, (90, 8, 8, 1), dtype=np.uint8), "labels": np.arange(90) % 3}
    if with_val:
        arrays = {f"x_{name}": arrays["images"][rows] for name, rows in PARTS.items()} | {
            f"y_{name}": arrays["labels"][rows] for name, rows in PARTS.items()
        }
    np.savez(tmp_path / "images.npz", **arrays)
    spec = {"source": "npz", "path": str(tmp_path / "images.npz"), "max_train_images": 30}
    plain = load(DataSpec(**spec), tmp_path / "cache")
    parts = [load(DataSpec(**spec, folds=4, fold=fold), tmp_path / "cache") for fold in range(4)]
    pool = images_of(plain.train().images) + images_of(plain.val().images)
    assert sorted(image for part in parts for image in images_of(part.val().images)) == sorted(pool)
    for part in parts:
        train, val = images_of(part.train().images), images_of(part.val().images)
        assert sorted(train + val) == sorted(pool) and not set(train) & set(val)
        assert images_of(part.test().images) == images_of(plain.test().images)
        assert set(part.names("val")) <= {*plain.names("train"), *plain.names("val")}
    assert len({part.fingerprint for part in parts} | {plain.fingerprint}) == 5


PARTS = {"train": slice(0, 50), "val": slice(50, 70), "test": slice(70, 90)}


def images_of(images: np.ndarray) -> list[bytes]:
    return [image.tobytes() for image in np.asarray(images)]
