"""What a job's task makes of a source's labels: class numbers, or 0 and 1 for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import DataSpec, load
from toprung.trainables.data.decoding.splits import SPLITS, assign_splits, drawn_splits

if TYPE_CHECKING:
    from pathlib import Path


def matrix_of(count: int = 60, seed: int = 0) -> np.ndarray:
    """0/1 labels of four classes, the last rare; some images have none."""
    return (np.random.default_rng(seed).uniform(size=(count, 4)) < [0.5, 0.5, 0.3, 0.1]).astype(np.int64)


def npz(path: Path, labels: Any, **arrays: Any) -> Path:
    images = np.random.default_rng(1).integers(0, 256, (len(labels), 4, 4, 3), dtype=np.uint8)
    np.savez(path, images=images, labels=labels, **arrays)
    return path


def parquet(path: Path, labels: Any) -> Path:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    rng, encoded = np.random.default_rng(1), []
    for _ in range(len(labels)):
        out = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).save(out, "PNG")
        encoded.append(out.getvalue())
    pq.write_table(pa.table({"image": encoded, "label": labels}), path)
    return path


def loaded(path: Path, task: str = "auto"):
    return load(DataSpec(path.suffix[1:], str(path), task=task), path.parent / "cache")


def test_a_matrix_of_0_and_1_is_multilabel_and_reaches_the_splits_whole(tmp_path: Path) -> None:
    labels = matrix_of()
    data = loaded(npz(tmp_path / "set.npz", labels, classes=np.array(["a", "b", "c", "d"])))
    assert (data.task_type, data.classes) == ("multilabel", ("a", "b", "c", "d"))
    splits = [data.train(), data.val(), data.test()]
    assert sum(data.counts.values()) == 60
    assert splits[0].labels.shape == (data.counts["train"], 4)
    assert splits[0].labels.dtype == np.int32
    stored = np.concatenate([split.labels for split in splits])
    assert sorted(map(tuple, stored.tolist())) == sorted(map(tuple, labels.tolist()))
    assert data.class_counts["train"] == tuple(splits[0].labels.sum(axis=0))
    assert data.task(3).outputs == 4


def test_a_matrix_whose_rows_name_one_class_is_class_numbers_unless_multilabel_is_requested(
    tmp_path: Path,
) -> None:
    numbers = np.arange(30) % 3
    path = npz(tmp_path / "set.npz", np.eye(3)[numbers])
    data, requested = loaded(path), loaded(path, "multilabel")
    assert data.task_type == "softmax"
    assert np.bincount(data.train().labels).tolist() == list(data.class_counts["train"])
    assert requested.task_type == "multilabel"
    assert requested.train().labels.shape[1] == 3


def test_two_classes_have_one_output_where_binary_is_requested(tmp_path: Path) -> None:
    path = npz(tmp_path / "set.npz", np.arange(30) % 2)
    assert loaded(path).task(1).outputs == 2
    assert loaded(path, "binary").task(1).outputs == 1


@pytest.mark.parametrize(
    ("labels", "task", "given"),
    [
        (np.arange(30) % 3, "binary", "binary, but the labels give 3 classes; 2 classes"),
        (np.arange(30) % 3, "multilabel", "multilabel, but the labels give one class number for each image"),
        (matrix_of(), "softmax", "softmax, but the labels give images of no class or of several"),
    ],
)
def test_labels_that_the_task_cannot_have_say_so(
    labels: np.ndarray, task: str, given: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=given) as caught:
        loaded(npz(tmp_path / "set.npz", labels), task)
    assert caught.value.problems[0].where == "data.task"


def test_parquet_lists_are_class_numbers_or_a_row_of_the_matrix(tmp_path: Path) -> None:
    matrix = matrix_of()
    numbers = [np.flatnonzero(row).tolist() for row in matrix]
    by_number = loaded(parquet(tmp_path / "numbers.parquet", numbers))
    by_row = loaded(parquet(tmp_path / "rows.parquet", matrix.tolist()))
    assert by_number.task_type == by_row.task_type == "multilabel"
    assert by_number.fingerprint == by_row.fingerprint


@pytest.mark.parametrize(
    ("labels", "given"),
    [
        ([[0, 1], [1, None], []] * 6, "row 1: label None; class numbers from 0 to 1"),
        ([[0], [1, -1]] * 6, "row 1: label -1; class numbers"),
        ([[0], [1, 99]] * 6, "fewer images than classes: 12 images, labels up to 99"),
    ],
)
def test_parquet_lists_that_hold_no_class_numbers_say_where(labels: list, given: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=given):
        loaded(parquet(tmp_path / "lists.parquet", labels))


def keys(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, 9]).random((count, 2))


@pytest.mark.parametrize("seed", range(3))
def test_every_label_stands_in_every_split_in_its_share(seed: int) -> None:
    labels = matrix_of(400, seed)
    assignment = drawn_splits(labels, keys(400, seed)[:, 0], {"test": 0.2, "val": 0.1})
    for name, share in (("test", 0.2), ("val", 0.1)):
        own = labels[assignment == SPLITS.index(name)]
        # Four standard deviations of binomial counts.
        assert len(own) == pytest.approx(share * 400, abs=4 * np.sqrt(400 * share))
        sums = labels.sum(axis=0)
        assert (abs(own.sum(axis=0) - share * sums) < 4 * np.sqrt(sums * share)).all()


def test_a_label_of_three_images_stands_once_in_each_split() -> None:
    labels = np.zeros((40, 3), np.int64)
    labels[:, 0], labels[::2, 1], labels[[3, 10, 31], 2] = 1, 1, 1
    found = assign_splits({"train": labels}, ("a", "b", "c"), DataSpec(), lambda _: keys(40))["train"]
    assert sorted(found[labels[:, 2] > 0].tolist()) == [0, 1, 2]


def test_a_sample_of_the_training_images_keeps_the_labels_shares() -> None:
    labels = matrix_of(600)
    spec = DataSpec(max_train_images=100)
    assignment = assign_splits({"train": labels}, tuple("abcd"), spec, lambda _: keys(600))["train"]
    train = labels[assignment == 0]
    assert len(train) == 100
    # Four standard deviations of a share among 100 images.
    assert train.mean(axis=0) == pytest.approx(labels.mean(axis=0), abs=0.2)
