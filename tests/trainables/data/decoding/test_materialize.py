"""A source is decoded in order by several threads, and what cannot be read is counted and named."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from toprung.spaces.errors import InputError
from toprung.trainables.data.decoding.materialize import ImageId, Materialization, decode
from toprung.trainables.data.decoding.ordered_map import in_order
from toprung.trainables.data.source_rules.base import Item, Listing, SourceSplit
from toprung.trainables.data.source_rules.spec import DataSpec

SPEC = DataSpec("folder", "unused", max_corrupt_fraction=0.2)
TRAIN, VAL, TEST = range(3)
LEFT_OUT = -1


@dataclass(frozen=True)
class Items:
    """Images of a split, given one by one."""

    items: list[Item]

    def __len__(self) -> int:
        return len(self.items)

    def name(self, row: int) -> str:
        return f"image {row}"

    def chunks(self, length: int) -> Iterator[Sequence[Item]]:
        for start in range(0, len(self.items), length):
            yield self.items[start : start + length]


def level(value: int, shape: tuple[int, ...] = (2, 2, 1)) -> np.ndarray:
    return np.full(shape, value, np.uint8)


def work(items: list[Item], assignment: list[int], folder: Path, spec: DataSpec = SPEC) -> Materialization:
    labels = np.arange(len(items)) % 2
    listing = Listing(("a", "b"), {"train": SourceSplit(Items(items), labels)})
    return Materialization(listing, {"train": np.array(assignment, np.int8)}, spec, folder)


def images_in(folder: Path, split: str) -> list[int]:
    levels: list[int] = np.load(folder / f"{split}_images.npy")[:, 0, 0, 0].tolist()
    return levels


def test_each_image_goes_to_its_split_in_order_and_some_nowhere(tmp_path: Path) -> None:
    assignment = [TRAIN, VAL, TEST, LEFT_OUT, VAL] * 40  # more than one chunk
    run = work([level(row) for row in range(200)], assignment, tmp_path)
    reported: list[tuple[int, int]] = []
    run.run(lambda done, total: reported.append((done, total)))
    assert run.total == 160
    assert images_in(tmp_path, "train") == list(range(0, 200, 5))
    assert images_in(tmp_path, "val") == [row for row in range(200) if row % 5 in (1, 4)]
    assert images_in(tmp_path, "test") == list(range(2, 200, 5))
    assert run.writers["val"].names[0] == "image 1"
    assert reported == [(160, 160)]


def test_unreadable_images_are_skipped_by_name_up_to_the_allowed_share(tmp_path: Path) -> None:
    items: list[Item] = [level(row) for row in range(10)]
    items[4] = b""
    run = work(items, [TRAIN] * 6 + [VAL] * 2 + [TEST] * 2, tmp_path)
    run.run()
    assert run.skipped == ["image 4 (empty)"]
    assert images_in(tmp_path, "train") == [0, 1, 2, 3, 5]


@pytest.mark.parametrize(("broken", "count"), [(3, "3 of 10"), (9, "9 of 10")])
def test_too_many_unreadable_images_are_refused(broken: int, count: str, tmp_path: Path) -> None:
    items: list[Item] = [b""] * broken + [level(row) for row in range(10 - broken)]
    rule = rf"at most 2; data\.max_corrupt_fraction 0\.{broken} skips so many by name"
    with pytest.raises(InputError, match=rf"{count} images cannot be decoded: image 0 \(empty\), .*{rule}"):
        work(items, [TRAIN, VAL, TEST, TRAIN, TRAIN] * 2, tmp_path).run()


@pytest.mark.parametrize(("total", "allowed"), [(9, 0), (10, 1), (25, 2), (30, 3), (299, 3), (400, 4)])
def test_a_few_of_a_small_folder_are_skipped_and_a_share_of_a_large_one(
    total: int, allowed: int, tmp_path: Path
) -> None:
    run = work([level(1)] * total, [TRAIN] * total, tmp_path, DataSpec())
    assert int(run.max_skipped) == allowed
    assert (
        work([level(1)] * total, [TRAIN] * total, tmp_path, DataSpec(max_corrupt_fraction=0)).max_skipped == 0
    )


def test_decoding_ends_soon_after_the_first_image_too_many(tmp_path: Path) -> None:
    run = work([b""] * 1000, [TRAIN, VAL] * 500, tmp_path, DataSpec("folder", "x", max_corrupt_fraction=0.0))
    with pytest.raises(InputError, match="at least 11 of 1000 images"):
        run.run()


@pytest.mark.parametrize(
    ("shape", "key"),
    [((2, 3, 1), "data.image_size"), ((2, 2, 3), "data.channels"), ((3, 3, 3), "data.image_size")],
)
def test_images_of_another_shape_are_refused_with_both_names(
    shape: tuple[int, ...], key: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        work([level(1), level(2, shape)], [TRAIN, VAL], tmp_path).run()
    (problem,) = caught.value.problems
    assert problem.where == key
    assert "images of 2x2x1 in image 0 but" in problem.given and "in image 1" in problem.given


@pytest.mark.parametrize(
    ("items", "line"),
    [
        ([level(1), level(2), level(3), b""], "no image is left for test; .*image 3"),
        ([level(1), b"", level(3), level(4)], "no training image is left of class 'b'; .*image 1"),
    ],
)
def test_a_split_or_class_that_is_left_empty_is_refused(items: list[Item], line: str, tmp_path: Path) -> None:
    spec = DataSpec("folder", "unused", max_corrupt_fraction=0.5)
    with pytest.raises(InputError, match=line):
        work(items, [TRAIN, TRAIN, VAL, TEST], tmp_path, spec).run()


def test_a_full_disk_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=7))
    with pytest.raises(
        InputError, match=r"TOPRUNG_CACHE: .* has 0\.000 GB free; 0\.000 GB for 2 images of 2x2x1"
    ):
        work([level(1), level(2)], [TRAIN, VAL], tmp_path).run()
    assert list(tmp_path.iterdir()) == []


def test_a_decoded_image_has_the_digest_of_its_pixels() -> None:
    grey = level(7, (4, 4, 1))
    one, other = decode(ImageId("train", 0), grey, SPEC), decode(ImageId("val", 1), grey[::-1], SPEC)
    assert one.digest == other.digest and one.image is not None
    assert decode(ImageId("train", 2), b"", SPEC).image is None


def test_results_come_in_order_and_few_are_computed_ahead() -> None:
    started: list[int] = []
    lock = threading.Lock()

    def double(number: int) -> int:
        with lock:
            started.append(number)
        return 2 * number

    with ThreadPoolExecutor(4) as pool:
        results: Iterator[Any] = in_order(pool, double, iter(range(100)), max_ahead=5)
        assert [next(results) for _ in range(10)] == list(range(0, 20, 2))
        assert max(started) <= 14
        results.close()  # type: ignore[attr-defined]
    assert max(started) <= 14, "what was not asked for is not computed"
