"""Images on an object store are read as those of this machine are, in few questions, with clear errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from PIL import Image

from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import DataSpec, check, load
from toprung.trainables.data.sources import paths as data_place
from toprung.trainables.data.sources.registry import source_of


class Store:
    """A folder behind the address of a bucket; counts the questions it is asked."""

    def __init__(self, folder: Path) -> None:
        self.system = pafs.SubTreeFileSystem(str(folder), pafs.LocalFileSystem())
        self.type_name = "subtree"
        self.questions = 0
        self.forbidden: set[str] = set()

    def get_file_info(self, asked: Any) -> Any:
        self.questions += 1
        return self.system.get_file_info(asked)

    def open_input_file(self, path: str) -> Any:
        if path in self.forbidden:
            raise PermissionError(13, "access denied")
        return self.system.open_input_file(path)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    (tmp_path / "store").mkdir()
    made = Store(tmp_path / "store")
    monkeypatch.setattr(data_place, "system_at", lambda uri: (made, uri.partition("://")[2]))
    return made


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    """The same 30 images as a folder per class, as an NPZ and as Parquet shards, where the store keeps its bucket."""
    root = tmp_path / "store" / "bucket"
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(30) % 3
    for row, (image, label) in enumerate(zip(images, labels, strict=True)):
        home = root / "photos" / "train" / f"class{label}"
        home.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(home / f"{row:02}.png")
    np.savez(root / "set.npz", images=images, labels=labels)
    encoded = [next(root.rglob(f"{row:02}.png")).read_bytes() for row in range(30)]
    (root / "shards" / "data").mkdir(parents=True)
    for part, rows in enumerate((slice(0, 20), slice(20, 30))):
        table = pa.table({"image": encoded[rows], "label": labels[rows]})
        pq.write_table(table, root / "shards" / "data" / f"train-{part}.parquet")
    (root / "shards" / "classes.txt").write_text("a\nb\nc\n")
    return root


@pytest.mark.parametrize(
    ("source", "name"), [("folder", "photos"), ("npz", "set.npz"), ("parquet", "shards")]
)
def test_a_store_gives_the_data_set_that_the_files_here_give(
    source: str, name: str, store: Store, bucket: Path, tmp_path: Path
) -> None:
    here = load(DataSpec(source, str(bucket / name)), tmp_path / "here")
    there = load(DataSpec(source, f"s3://bucket/{name}"), tmp_path / "there")
    assert there.fingerprint == here.fingerprint
    assert there.classes == here.classes
    assert source_of(f"s3://bucket/{name}") == source
    again = load(DataSpec(source, f"s3://bucket/{name}"), tmp_path / "there")
    assert again.folder == there.folder, "nothing is decoded twice"


def test_the_store_is_not_asked_for_each_image(store: Store, bucket: Path) -> None:
    assert check(DataSpec("folder", "s3://bucket/photos")) == ()
    assert store.questions < 20, "there are 30 images"


def test_a_file_that_changes_on_the_store_is_read_again(store: Store, bucket: Path, tmp_path: Path) -> None:
    first = load(DataSpec("npz", "s3://bucket/set.npz"), tmp_path / "cache")
    np.savez(bucket / "set.npz", images=np.zeros((12, 8, 8, 3), np.uint8), labels=np.arange(12) % 2)
    second = load(DataSpec("npz", "s3://bucket/set.npz"), tmp_path / "cache")
    assert second.fingerprint != first.fingerprint


def test_a_file_uri_is_the_path_it_names(bucket: Path, tmp_path: Path) -> None:
    uri, path = f"file://{bucket}/photos", str(bucket / "photos")
    assert load(DataSpec("folder", uri), tmp_path / "a").fingerprint == (
        load(DataSpec("folder", path), tmp_path / "b").fingerprint
    )


def test_what_cannot_be_read_is_told_and_not_skipped(store: Store, bucket: Path, tmp_path: Path) -> None:
    store.forbidden = {"bucket/photos/train/class1/01.png"}
    for spec, given in (
        (DataSpec("folder", "s3://bucket/photos"), "class1/01.png cannot be read"),
        (DataSpec("folder", "s3://bucket/nothing"), "s3://bucket/nothing does not exist"),
        (DataSpec("npz", "s3://bucket/photos/train/class0/00.png"), "00.png cannot be read"),
    ):
        with pytest.raises(InputError, match=given) as caught:
            load(spec, tmp_path / "cache")
        assert caught.value.problems[0].where == "data.path"


def test_an_address_of_no_known_kind_is_told() -> None:
    with pytest.raises(InputError, match=r"data\.path: nowhere://x cannot be opened .*s3://bucket/folder"):
        load(DataSpec("folder", "nowhere://x"))
