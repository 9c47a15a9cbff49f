"""A split depends on an image's content and the seed alone; every class stands in each split, to learn and measure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import DataSpec
from toprung.trainables.data.decoding.splits import (
    SPLITS,
    TEST,
    TRAIN,
    VAL,
    assign_splits,
    drawn_splits,
    left_out_counts,
)

class_sizes = st.lists(st.integers(3, 60), min_size=2, max_size=6)
fractions = st.floats(0.01, 0.49)
seeds = st.integers(0, 2**32)


def labels_of(sizes: list[int], seed: int = 0) -> np.ndarray:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(seed).permutation(labels)


def named(count: int) -> list[str]:
    return [f"class {number}" for number in range(count)]


def assigned(
    splits: dict[str, np.ndarray], spec: DataSpec, classes: int, keys_seed: int = 0
) -> dict[str, Any]:
    """`assign_splits` for images of random content."""
    keys = {
        name: np.random.default_rng([keys_seed, number]).random((len(labels), 2))
        for number, (name, labels) in enumerate(splits.items())
    }
    return assign_splits(splits, named(classes), spec, keys.__getitem__)


@given(class_sizes, fractions, fractions, seeds)
@settings(deadline=None)
def test_every_class_stands_in_every_split(sizes: list[int], val: float, test: float, seed: int) -> None:
    labels = labels_of(sizes)
    spec = DataSpec(val_fraction=val, test_fraction=test)
    split = assigned({"train": labels}, spec, len(sizes), seed)["train"]
    for number, size in enumerate(sizes):
        counts = np.bincount(split[labels == number], minlength=3)
        assert counts.sum() == size
        assert counts.min() >= 1


@pytest.mark.parametrize("seed", range(5))
def test_every_class_has_its_share_of_each_split_but_for_chance(seed: int) -> None:
    labels = labels_of([2000, 500])
    split = assigned({"train": labels}, DataSpec(val_fraction=0.1, test_fraction=0.2), 2, seed)["train"]
    for number, size in enumerate((2000, 500)):
        counts = np.bincount(split[labels == number], minlength=3)
        for index, share in ((VAL, 0.1), (TEST, 0.2)):
            # Five standard deviations of a binomial count: exceeded once in a million draws.
            assert abs(counts[index] - share * size) < 5 * math.sqrt(size * share * (1 - share))


@given(class_sizes, seeds, st.integers(1, 30))
@settings(deadline=None)
def test_images_that_are_added_move_no_other_image(sizes: list[int], seed: int, more: int) -> None:
    """Classes that have natural members in each split, as all but the smallest have."""
    rng = np.random.default_rng(seed)
    base = [0.05, 0.5, 0.95] * len(sizes)
    labels = np.r_[np.repeat(np.arange(len(sizes)), 3), labels_of(sizes)]
    positions = np.r_[base, rng.random(len(labels) - len(base))]
    added_labels = np.r_[labels, rng.integers(0, len(sizes), more)]
    added_positions = np.r_[positions, rng.random(more)]
    order = rng.permutation(len(added_labels))  # new files may stand anywhere between the old ones
    shares = {"val": 0.15, "test": 0.15}
    before = drawn_splits(labels, positions, shares)
    after = np.empty(len(order), np.int8)
    after[order] = drawn_splits(added_labels[order], added_positions[order], shares)
    assert np.array_equal(after[: len(labels)], before)


@given(class_sizes, fractions, fractions, seeds)
@settings(deadline=None)
def test_the_test_set_does_not_move_when_the_validation_share_does(
    sizes: list[int], one: float, other: float, seed: int
) -> None:
    labels = labels_of([size + 100 for size in sizes])  # so that no class has to be lent an image
    positions = np.random.default_rng(seed).random(len(labels))
    first, second = (drawn_splits(labels, positions, {"val": val, "test": 0.2}) for val in (one, other))
    assert np.array_equal(first == TEST, second == TEST)


def test_a_class_without_an_image_in_a_split_gets_the_nearest() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1])
    positions = np.array([0.30, 0.25, 0.60, 0.70, 0.01, 0.02, 0.03])
    split = drawn_splits(labels, positions, {"val": 0.1, "test": 0.2})
    assert split.tolist() == [TRAIN, TEST, TRAIN, VAL, TEST, VAL, TRAIN]


def test_images_of_several_labels_are_lent_without_robbing_a_class() -> None:
    labels = np.array([[1, 1], [1, 0], [1, 0], [0, 1], [0, 1]])
    positions = np.array([0.5, 0.4, 0.6, 0.3, 0.7])
    split = drawn_splits(labels, positions, {"val": 0.1, "test": 0.1})
    for column in labels.T:
        assert set(split[column > 0].tolist()) >= {TEST, VAL}
    assert (labels[split == TRAIN].sum(axis=0) > 0).all()


def test_a_split_that_comes_with_the_source_is_kept_as_it_is() -> None:
    splits = {"train": labels_of([100, 100]), "test": labels_of([5, 5])}
    split = assigned(splits, DataSpec(val_fraction=0.2), 2)
    assert (split["test"] == TEST).all()
    assert not (split["train"] == TEST).any() and (split["train"] == VAL).any()

    splits["val"] = labels_of([1, 1])
    split = assigned(splits, DataSpec(), 2)
    assert (split["train"] == TRAIN).all()
    assert (split["val"] == VAL).all()


def test_a_test_share_of_0_draws_none() -> None:
    split = assigned({"train": labels_of([9, 9])}, DataSpec(test_fraction=0), 2)["train"]
    assert set(split.tolist()) == {TRAIN, VAL}
    assert assigned({"train": labels_of([2, 2])}, DataSpec(test_fraction=0), 2), "two images are then enough"


@given(class_sizes, st.integers(6, 200), seeds)
@settings(deadline=None)
def test_the_cap_on_training_images_bounds_validation_in_proportion(
    sizes: list[int], cap: int, seed: int
) -> None:
    labels = labels_of(sizes)
    whole = assigned({"train": labels}, DataSpec(), len(sizes), seed)["train"]
    capped = assigned({"train": labels}, DataSpec(max_train_images=cap), len(sizes), seed)["train"]
    assert np.array_equal(capped == TEST, whole == TEST)
    for index in (TRAIN, VAL):
        assert set(capped[whole == index].tolist()) <= {index, -1 - index}
        assert np.bincount(labels[capped == index], minlength=len(sizes)).min() >= 1
    before, after = (np.bincount(split[split >= 0], minlength=3) for split in (whole, capped))
    assert after[TRAIN] == min(cap, before[TRAIN])
    assert after[VAL] == max(math.ceil(before[VAL] * after[TRAIN] / before[TRAIN]), len(sizes))
    left_out = {"train": before[TRAIN] - after[TRAIN], "val": before[VAL] - after[VAL]}
    assert left_out_counts([capped]) == {name: count for name, count in left_out.items() if count}


@pytest.mark.parametrize("own_val", [False, True])
def test_max_val_images_bounds_validation_by_itself(own_val: bool) -> None:
    splits = {"train": labels_of([200, 200])} | ({"val": labels_of([50, 50])} if own_val else {})
    for cap in (None, 40):
        spec = DataSpec(max_train_images=cap, max_val_images=20)
        split = np.concatenate(list(assigned(splits, spec, 2).values()))
        assert (split == VAL).sum() == 20
        assert (split == TRAIN).sum() == (cap or (split >= 0).sum() - 20 - (split == TEST).sum())
    every = assigned(splits, DataSpec(max_train_images=40, max_val_images=10_000), 2)
    assert not any((split == -1 - VAL).any() for split in every.values())


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
    split = assigned(splits, DataSpec(max_train_images=cap), len(sizes))["train"]
    assert np.bincount(splits["train"][split == TRAIN]).tolist() == kept


def test_a_larger_sample_contains_a_smaller_one() -> None:
    labels = labels_of([300, 300])
    small, large = (
        assigned({"train": labels}, DataSpec(max_train_images=cap), 2)["train"] for cap in (50, 120)
    )
    assert ((small == TRAIN) <= (large == TRAIN)).all()


@given(seeds, st.integers(6, 150))
@settings(deadline=None)
def test_the_cap_is_kept_with_several_labels_an_image(seed: int, cap: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random((200, 6)) < rng.uniform(0.05, 0.5, 6)).astype(np.int64)
    labels[:18] = np.tile(np.eye(6, dtype=np.int64), (3, 1))  # enough of each to stand in every split
    whole = assigned({"train": labels}, DataSpec(), 6, seed)["train"]
    capped = assigned({"train": labels}, DataSpec(max_train_images=cap), 6, seed)["train"]
    assert (capped == TRAIN).sum() == min(cap, (whole == TRAIN).sum())
    assert labels[capped == TRAIN].any(axis=0).all()


@pytest.mark.parametrize("key", ["max_train_images", "max_val_images"])
def test_a_cap_below_one_image_a_class_is_refused(key: str) -> None:
    with pytest.raises(InputError, match=rf"data\.{key}: 2; 3 or more"):
        assigned({"train": labels_of([40, 40, 40])}, DataSpec(**{key: 2}), 3)


@pytest.mark.parametrize(("own", "needed"), [((), 3), (("test",), 2), (("val", "test"), 1)])
def test_a_class_needs_an_image_for_each_split_it_is_drawn_into(own: tuple[str, ...], needed: int) -> None:
    splits = {"train": labels_of([10, needed]), **{split: labels_of([1, 1]) for split in own}}
    assert set(assigned(splits, DataSpec(), 2)) == {"train", *own}
    splits["train"] = np.r_[np.zeros(10, int), np.ones(needed - 1, int)]
    with pytest.raises(
        InputError, match=f"class 'class 1' has {needed - 1} image.*at least {needed}, one each"
    ):
        assigned(splits, DataSpec(), 2)


@pytest.mark.parametrize(("smallest", "helps"), [(2, True), (1, False)])
def test_to_draw_no_test_images_is_offered_where_it_helps(smallest: int, helps: bool) -> None:
    with pytest.raises(InputError) as caught:
        assigned({"train": labels_of([2, smallest])}, DataSpec(), 2)
    assert {"or draw no test images" in str(problem) for problem in caught.value.problems} == {helps}


def test_a_hundred_small_classes_are_told_in_a_few_lines() -> None:
    with pytest.raises(InputError) as caught:
        assigned({"train": labels_of([2] * 100)}, DataSpec(), 100)
    assert len(caught.value.problems) == 6
    assert "95 more classes" in str(caught.value.problems[-1])


def test_keys_are_asked_for_only_where_a_split_is_drawn_or_bounded() -> None:
    splits = {name: labels_of([3, 3]) for name in SPLITS}

    def unread(name: str) -> Any:
        pytest.fail(f"{name} was read")

    assert set(assign_splits(splits, named(2), DataSpec(), unread)) == set(SPLITS)
