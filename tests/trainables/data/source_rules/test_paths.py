"""Images on an object store are read as those of this machine are, in few questions, with clear errors."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import DataSpec, check, load
from toprung.trainables.data.source_rules.paths import files_below, located
from toprung.trainables.data.sources.registry import source_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The same 30 images as a folder per class, as an NPZ and as Parquet shards."""
    root = tmp_path / "local"
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


@pytest.fixture
def store(s3: Any, folder: Path) -> Any:
    """An object store with these files."""
    for file in folder.rglob("*"):
        if file.is_file():
            s3.put(str(file.relative_to(folder)), file.read_bytes())
    return s3


@pytest.mark.parametrize(
    ("source", "name"), [("folder", "photos"), ("npz", "set.npz"), ("parquet", "shards")]
)
def test_a_store_gives_the_data_set_that_the_files_here_give(
    source: str, name: str, store: Any, folder: Path, tmp_path: Path
) -> None:
    here = load(DataSpec(source, str(folder / name)), tmp_path / "here")
    there = load(DataSpec(source, store.uri(name)), tmp_path / "there")
    assert there.fingerprint == here.fingerprint
    assert there.classes == here.classes
    assert source_of(store.uri(name)) == source
    again = load(DataSpec(source, store.uri(name)), tmp_path / "there")
    assert again.folder == there.folder, "nothing is decoded twice"


def test_the_store_is_not_asked_for_each_image(store: Any) -> None:
    store.requests.clear()
    assert check(DataSpec("folder", store.uri("photos"))) == ()
    assert len(store.requests) < 30, "there are 30 images"


def test_a_file_that_changes_on_the_store_is_read_again(store: Any, folder: Path, tmp_path: Path) -> None:
    first = load(DataSpec("npz", store.uri("set.npz")), tmp_path / "cache")
    np.savez(folder / "set.npz", images=np.zeros((12, 8, 8, 3), np.uint8), labels=np.arange(12) % 2)
    store.put("set.npz", (folder / "set.npz").read_bytes())
    second = load(DataSpec("npz", store.uri("set.npz")), tmp_path / "cache")
    assert second.fingerprint != first.fingerprint


def test_a_file_uri_is_the_path_it_names(folder: Path, tmp_path: Path) -> None:
    uri, path = f"file://{folder}/photos", str(folder / "photos")
    assert load(DataSpec("folder", uri), tmp_path / "a").fingerprint == (
        load(DataSpec("folder", path), tmp_path / "b").fingerprint
    )


def test_what_cannot_be_read_is_told_and_not_skipped(store: Any, tmp_path: Path) -> None:
    store.refused = {"photos/train/class1/01.png"}
    for spec, given in (
        (DataSpec("folder", store.uri("photos")), "class1/01.png cannot be read"),
        (DataSpec("folder", store.uri("nothing")), "s3://bucket/nothing does not exist"),
        (DataSpec("npz", store.uri("photos/train/class0/00.png")), "00.png cannot be read"),
    ):
        with pytest.raises(InputError, match=given) as caught:
            load(spec, tmp_path / "cache")
        assert caught.value.problems[0].where == "data.path"


def test_an_address_of_no_known_kind_is_told() -> None:
    with pytest.raises(InputError, match=r"data\.path: nowhere://x cannot be opened .*s3://bucket/folder"):
        load(DataSpec("folder", "nowhere://x"))


def test_credentials_in_an_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(InputError, match=r"data\.path: s3://\*\*\*@bucket/photos; .*AWS_ACCESS_KEY_ID"):
        load(DataSpec("folder", "s3://key:secret@bucket/photos"))


def test_the_whole_file_system_is_no_folder_of_images() -> None:
    for root in ("/", "/home/..", "file:///"):
        with pytest.raises(InputError, match="/ is the whole file system; class folders"):
            located(root, "folder", "class folders")


def test_what_vanishes_while_a_folder_is_listed_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").touch()
    walk = os.walk

    def vanishing(*arguments: Any, **settings: Any) -> Any:
        for where, folders, names in walk(*arguments, **settings):
            if where == str(tmp_path):
                shutil.rmtree(tmp_path / "b")
            yield where, folders, names

    monkeypatch.setattr(os, "walk", vanishing)
    assert files_below(tmp_path) == ["a/1.png"]


@pytest.mark.parametrize("name", ["images.npz", "images.parquet", "images"])
def test_a_pipe_in_the_place_of_the_images_is_told(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    spec = DataSpec(source_of(str(tmp_path / name)), str(tmp_path / name), image_size=8)
    with pytest.raises(InputError, match="is no file and no folder"):
        load(spec)
