"""Tables that were written in partitions: what the folders say of the files in them is no column of any file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import Dataset, DataSpec, load
from toprung.trainables.data.sources.registry import source_of

COUNT = 12


def pictures(count: int = COUNT, seed: int = 0) -> list[bytes]:
    rng, made = np.random.default_rng(seed), []
    for _ in range(count):
        out = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(out, "PNG")
        made.append(out.getvalue())
    return made


def put(file: Path, seed: int = 0, **more: list[object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": pictures(seed=seed), **more}), file)


def loaded(path: Path, **settings: object) -> Dataset:
    return load(DataSpec(source_of(str(path)), str(path), **settings), path.parent / "cache")


def test_pandas_partitions_are_read_as_labels_and_splits(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "image": pictures(4 * COUNT),
            "split": (["train"] * COUNT + ["test"] * COUNT) * 2,
            "label": ["sea lion"] * 2 * COUNT + ["a/b"] * 2 * COUNT,
        }
    )
    frame.to_parquet(tmp_path / "set", partition_cols=["split", "label"])
    data = loaded(tmp_path / "set")
    assert data.classes == ("a/b", "sea lion")
    assert data.counts["test"] == 2 * COUNT == data.counts["train"] + data.counts["val"]
    assert data.class_counts["test"] == (COUNT, COUNT)
    assert data.notes == ("labels are the names of the folders label=..., images are in the column 'image'",)


@pytest.mark.parametrize("key", ["class", "category", "Label"])
def test_the_key_may_be_called_otherwise_and_the_job_may_name_any(key: str, tmp_path: Path) -> None:
    for number, name in enumerate(["cat", "dog"]):
        put(
            tmp_path / "set" / "year=2024" / f"{key}={name}" / "part-0.parquet", number, id=list(range(COUNT))
        )
    assert loaded(tmp_path / "set").classes == ("cat", "dog")
    assert loaded(tmp_path / "set", label_column=key).classes == ("cat", "dog")


def test_labels_that_are_numbers_are_counted_as_such(tmp_path: Path) -> None:
    for number in range(11):
        put(tmp_path / "set" / f"label={number}" / "0.parquet", number)
    data = loaded(tmp_path / "set")
    assert (
        data.classes[-2:] == ("9", "10") and sum(sum(counts) for counts in data.class_counts.values()) == 132
    )


def test_a_label_column_in_the_files_goes_before_the_folders(tmp_path: Path) -> None:
    for name in ("x", "y"):
        put(tmp_path / "set" / f"class={name}" / "0.parquet", ord(name), label=["a", "b"] * (COUNT // 2))
    assert loaded(tmp_path / "set").classes == ("a", "b")


def test_a_file_without_a_label_is_named(tmp_path: Path) -> None:
    for folder in ("label=cat", "label=dog", "label=__HIVE_DEFAULT_PARTITION__"):
        put(tmp_path / "set" / folder / "0.parquet", len(folder))
    with pytest.raises(InputError, match=r"HIVE_DEFAULT_PARTITION__/0\.parquet row 0: no label"):
        loaded(tmp_path / "set")


def test_class_folders_of_images_with_a_stray_table_stay_class_folders(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        put(tmp_path / "set" / name / "features.parquet")
        for number, content in enumerate(pictures(seed=len(name) + ord(name[0]))):
            (tmp_path / "set" / name / f"{number}.png").write_bytes(content)
    assert loaded(tmp_path / "set").classes == ("cats", "dogs")
