"""Splits are stratified, fixed by the seed, and leave every class somewhere to be learned and measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import DataSpec
from toprung.trainables.data.decoding.splits import LEFT_OUT, SPLITS, assign_splits, stratified_split

TRAIN, VAL, TEST = range(3)
class_sizes = st.lists(st.integers(3, 60), min_size=2, max_size=6)
fractions = st.floats(0.01, 0.49)


def labels_of(sizes: list[int], seed: int = 0) -> np.ndarray:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(seed).permutation(labels)


def named(count: int) -> list[str]:
    return [f"class {number}" for number in range(count)]


@given(class_sizes, fractions, fractions, st.integers(0, 2**32))
@settings(deadline=None)
def test_every_class_stands_in_every_split_at_its_share(
    sizes: list[int], val: float, test: float, seed: int
) -> None:
    labels = labels_of(sizes)
    spec = DataSpec(val_fraction=val, test_fraction=test, seed=seed)
    assigned = assign_splits({"train": labels}, named(len(sizes)), spec)["train"]
    for number, size in enumerate(sizes):
        counts = np.bincount(assigned[labels == number], minlength=3)
        assert counts.sum() == size
        assert counts.min() >= 1
        for split, fraction in ((VAL, val), (TEST, test)):
            # Rounded to the nearest image, and moved by at most one more to leave each split one image.
            assert abs(counts[split] - fraction * size) <= 1.5


@given(class_sizes, st.integers(0, 2**32))
@settings(deadline=None)
def test_the_same_seed_draws_the_same_images_and_another_seed_others(sizes: list[int], seed: int) -> None:
    labels = labels_of([size + 30 for size in sizes])
    share = {"test": 0.3, "val": 0.3}
    assert np.array_equal(stratified_split(labels, share, seed), stratified_split(labels, share, seed))
    # 33 images or more a class: the chance of drawing the same ten twice is below one in ten million.
    assert not np.array_equal(
        stratified_split(labels, share, seed), stratified_split(labels, share, seed + 1)
    )


@given(class_sizes, fractions, fractions)
@settings(deadline=None)
def test_the_test_set_does_not_move_when_the_validation_share_does(
    sizes: list[int], one: float, other: float
) -> None:
    labels = labels_of(sizes)
    first, second = (
        assign_splits({"train": labels}, named(len(sizes)), DataSpec(val_fraction=val, test_fraction=0.2))[
            "train"
        ]
        for val in (one, other)
    )
    assert np.array_equal(first == TEST, second == TEST)


def test_a_split_that_comes_with_the_source_is_kept_as_it_is() -> None:
    splits = {"train": labels_of([10, 10]), "test": labels_of([5, 5])}
    assigned = assign_splits(splits, named(2), DataSpec(val_fraction=0.2))
    assert (assigned["test"] == TEST).all()
    assert np.bincount(assigned["train"], minlength=3).tolist() == [16, 4, 0]

    splits["val"] = labels_of([1, 1])
    assigned = assign_splits(splits, named(2), DataSpec())
    assert (assigned["train"] == TRAIN).all()
    assert (assigned["val"] == VAL).all()


@given(class_sizes, st.integers(6, 200))
@settings(deadline=None)
def test_the_cap_on_training_images_touches_training_images_only(sizes: list[int], cap: int) -> None:
    labels = labels_of(sizes)
    uncapped = assign_splits({"train": labels}, named(len(sizes)), DataSpec())["train"]
    capped = assign_splits({"train": labels}, named(len(sizes)), DataSpec(max_train_images=cap))["train"]
    assert np.array_equal(capped[uncapped != TRAIN], uncapped[uncapped != TRAIN])
    assert set(capped[uncapped == TRAIN].tolist()) <= {TRAIN, LEFT_OUT}
    kept = np.bincount(labels[capped == TRAIN], minlength=len(sizes))
    assert kept.min() >= 1
    assert kept.sum() == min(cap, (uncapped == TRAIN).sum())


@pytest.mark.parametrize(
    ("sizes", "cap", "kept"),
    [
        ([900, 100], 100, [90, 10]),
        ([100] * 4, 102, [26, 26, 25, 25]),
        ([10_000, 600, *[3] * 98], 150, [49, 3, *[1] * 98]),
    ],
    ids=["shares without a rest", "equal remainders", "many classes below one image"],
)
def test_the_cap_is_kept_to_the_image(sizes: list[int], cap: int, kept: list[int]) -> None:
    splits = {
        "train": labels_of(sizes),
        "val": labels_of([1] * len(sizes)),
        "test": labels_of([1] * len(sizes)),
    }
    assigned = assign_splits(splits, named(len(sizes)), DataSpec(max_train_images=cap))["train"]
    assert np.bincount(splits["train"][assigned == TRAIN]).tolist() == kept


@given(st.integers(0, 2**32), st.integers(6, 150))
@settings(deadline=None)
def test_the_cap_is_kept_with_several_labels_an_image(seed: int, cap: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random((200, 6)) < rng.uniform(0.05, 0.5, 6)).astype(np.int64)
    labels[:18] = np.tile(np.eye(6, dtype=np.int64), (3, 1))  # enough of each to stand in every split
    uncapped = assign_splits({"train": labels}, named(6), DataSpec(seed=seed))["train"]
    capped = assign_splits({"train": labels}, named(6), DataSpec(seed=seed, max_train_images=cap))["train"]
    assert (capped == TRAIN).sum() == min(cap, (uncapped == TRAIN).sum())
    assert labels[capped == TRAIN].any(axis=0).all()


def test_a_cap_below_one_image_a_class_is_refused() -> None:
    with pytest.raises(InputError, match=r"data\.max_train_images: 2; 3 or more"):
        assign_splits({"train": labels_of([9, 9, 9])}, named(3), DataSpec(max_train_images=2))


@pytest.mark.parametrize(("own", "needed"), [((), 3), (("test",), 2), (("val", "test"), 1)])
def test_a_class_needs_an_image_for_each_split_it_is_drawn_into(own: tuple[str, ...], needed: int) -> None:
    splits = {"train": labels_of([10, needed]), **{split: labels_of([1, 1]) for split in own}}
    assert set(assign_splits(splits, named(2), DataSpec())) == {"train", *own}
    splits["train"] = np.r_[np.zeros(10, int), np.ones(needed - 1, int)]
    with pytest.raises(
        InputError, match=f"class 'class 1' has {needed - 1} image.*at least {needed}, one each"
    ):
        assign_splits(splits, named(2), DataSpec())


def test_a_hundred_small_classes_are_told_in_a_few_lines() -> None:
    with pytest.raises(InputError) as caught:
        assign_splits({"train": labels_of([2] * 100)}, named(100), DataSpec())
    assert len(caught.value.problems) == 6
    assert "95 more classes" in str(caught.value.problems[-1])


def test_no_split_shares_a_row_with_another() -> None:
    spec = replace(DataSpec(), seed=3)
    assigned = assign_splits({"train": labels_of([50, 50])}, named(2), spec)["train"]
    rows = [set(np.flatnonzero(assigned == index).tolist()) for index in range(len(SPLITS))]
    assert sum(len(own) for own in rows) == len(set.union(*rows)) == 100


def test_the_splits_of_known_labels_never_change() -> None:
    """A run goes on with the splits that its first trials had."""
    labels = np.arange(24) % 2
    assigned = assign_splits({"train": labels}, named(2), DataSpec(seed=7, max_train_images=12))["train"]
    assert "".join("tvs-"[number] for number in assigned) == "vtttt-ttstt-svts-tttvs-v"
