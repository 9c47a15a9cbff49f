"""Parquet and NPZ files as dataset hubs and people write them: folders, columns, names and labels of many kinds."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import Dataset, DataSpec, load
from toprung.trainables.data.sources.registry import source_of

COUNT = 20
NUMBERS = [row % 2 for row in range(COUNT)]


def encoded(count: int = COUNT, seed: int = 0) -> pa.Array:
    rows, rng = [], np.random.default_rng(seed)
    for _ in range(count):
        out = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(out, "PNG")
        rows.append({"bytes": out.getvalue(), "path": None})
    return pa.array(rows)


def put(
    file: Path,
    labels: Any = NUMBERS,
    names: Any = None,
    image: str = "image",
    label: str = "label",
    **more: Any,
) -> Path:
    """Write a file, with the columns declared in its metadata as hubs do if class names are given."""
    file.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({image: encoded(seed=len(file.name)), label: labels, **more})
    if names is not None:
        features = {image: {"_type": "Image"}, label: {"_type": "ClassLabel", "names": names}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, file)
    return file


def loaded(path: Path, **settings: Any) -> Dataset:
    return load(DataSpec(source_of(str(path)), str(path), **settings), path.parent / "cache")


@pytest.mark.parametrize(
    "files",
    [
        ["plain_text/train-00000-of-00001.parquet", "plain_text/test-00000-of-00001.parquet"],
        ["default/train/0000.parquet", "default/test/0000.parquet"],
        ["default/partial-train/0000.parquet", "default/partial-test/0000.parquet"],
        ["data/train-00000-of-00001-ab12.parquet", "data/test-00000-of-00001-cd34.parquet", "README.md"],
        ["mnist_train.parquet", "mnist_test.parquet"],
        ["train/part-0.parquet", "test/part-0.parquet"],
        ["train.parquet", "eval.parquet"],
        ["TRAIN.PARQUET", "Test.Parquet"],
        ["train.pq", "test.pq"],
        ["split=train/0.parquet", "split=test/0.parquet"],
    ],
)
def test_the_folders_that_hubs_write(files: list[str], tmp_path: Path) -> None:
    for name in files:
        (put if not name.endswith(".md") else lambda file: file.write_text("# cats and dogs"))(
            tmp_path / "set" / name
        )
    data = loaded(tmp_path / "set")
    assert data.counts["test"] == COUNT
    assert data.counts["train"] + data.counts["val"] == COUNT
    assert data.notes == ()


def test_files_of_no_split_are_all_of_train(tmp_path: Path) -> None:
    for number in range(2):
        put(tmp_path / "set" / f"part-0000{number}.snappy.parquet")
    assert sum(loaded(tmp_path / "set").counts.values()) == 2 * COUNT


def test_files_that_are_not_used_are_named(tmp_path: Path) -> None:
    put(tmp_path / "set" / "train.parquet")
    put(tmp_path / "set" / "other" / "train.parquet")
    put(tmp_path / "set" / "embeddings.parquet")
    (tmp_path / "set" / "cats").mkdir()
    (tmp_path / "set" / "cats" / "1.jpg").touch()
    other, images = loaded(tmp_path / "set").notes
    assert other.startswith("2 Parquet files") and other.endswith("not used, such as embeddings.parquet")
    assert images == "1 image files beside the Parquet files not used, such as cats/1.jpg"


def test_class_folders_win_over_a_stray_file(tmp_path: Path) -> None:
    (tmp_path / "set" / "cats").mkdir(parents=True)
    put(tmp_path / "set" / "metadata.parquet")
    assert source_of(str(tmp_path / "set")) == "folder"


def test_columns_are_those_that_the_file_declares(tmp_path: Path) -> None:
    put(
        tmp_path / "set" / "train.parquet",
        names=["cat", "dog"],
        image="img",
        label="fine",
        coarse_label=NUMBERS,
    )
    data = loaded(tmp_path / "set")
    assert data.classes == ("cat", "dog")
    assert data.notes == (
        "images are in the column 'img', labels in 'fine'",
        "columns that are not used: coarse_label",
    )


def test_columns_without_a_declaration_are_the_only_ones_that_fit(tmp_path: Path) -> None:
    put(tmp_path / "set" / "train.parquet", image="picture", label="kind")
    assert loaded(tmp_path / "set").notes == ("images are in the column 'picture', labels in 'kind'",)


def test_of_several_label_columns_none_is_guessed(tmp_path: Path) -> None:
    put(tmp_path / "set" / "train.parquet", label="fine", coarse=NUMBERS)
    with pytest.raises(
        InputError, match=r"data\.label_column: 'label'; one of the columns of .*: image, fine, coarse"
    ):
        loaded(tmp_path / "set")
    assert sum(loaded(tmp_path / "set", label_column="coarse").counts.values()) == COUNT


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["dog" if number else "cat" for number in NUMBERS], ("cat", "dog")),
        (pa.array(["dog" if number else "cat" for number in NUMBERS]).dictionary_encode(), ("cat", "dog")),
        (pa.array(NUMBERS).dictionary_encode(), ("0", "1")),
        ([bool(number) for number in NUMBERS], ("false", "true")),
        ([float(number) for number in NUMBERS], ("0", "1")),
        (pa.array(["dog" if number else "cat" for number in NUMBERS], pa.large_string()), ("cat", "dog")),
    ],
    ids=["texts", "dictionary of texts", "dictionary of numbers", "flags", "floats", "large texts"],
)
def test_labels_of_many_types(labels: Any, classes: tuple[str, ...], tmp_path: Path) -> None:
    data = loaded(put(tmp_path / "set" / "train.parquet", labels))
    assert data.classes == classes
    assert [sum(counts) for counts in zip(*data.class_counts.values(), strict=True)] == [COUNT // 2] * 2


def test_lists_of_texts_are_several_classes_an_image(tmp_path: Path) -> None:
    tags = [["red", "round"], ["red"], ["round"], []] * (COUNT // 4)
    data = loaded(put(tmp_path / "set" / "train.parquet", tags))
    assert (data.task_type, data.classes) == ("multilabel", ("red", "round"))


def test_texts_are_numbered_by_the_names_that_are_given(tmp_path: Path) -> None:
    put(tmp_path / "set" / "train.parquet", ["dog" if number else "cat" for number in NUMBERS])
    (tmp_path / "set" / "classes.txt").write_text("dog\ncat\n")
    assert loaded(tmp_path / "set").classes == ("dog", "cat")


@pytest.mark.parametrize("names", [["cat", "dog", "bird"], {"0": "cat", "1": "dog", "2": "bird"}])
def test_a_class_that_no_image_has_is_left_out(names: Any, tmp_path: Path) -> None:
    data = loaded(put(tmp_path / "set" / "train.parquet", names=names))
    assert data.classes == ("cat", "dog")
    assert data.notes == ("1 class has no image and no output in the model: bird",)


def test_numbers_may_begin_at_1(tmp_path: Path) -> None:
    data = loaded(put(tmp_path / "set" / "train.parquet", [number + 1 for number in NUMBERS]))
    assert data.classes == ("1", "2")
    assert len(data.notes) == 1


@pytest.mark.parametrize("missing", [-1, None])
def test_a_split_without_labels_is_left_out(missing: int | None, tmp_path: Path) -> None:
    put(tmp_path / "set" / "train.parquet")
    put(tmp_path / "set" / "test.parquet", pa.array([missing] * COUNT, pa.int64()))
    data = loaded(tmp_path / "set")
    assert sum(data.counts.values()) == COUNT
    assert data.notes == ("no image of test has a label (all are -1 or empty): test is left out",)


def arrays(*splits: str, count: int = COUNT) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8) for name in splits}
    return {name: (pixels, np.arange(count) % 2) for name, pixels in images.items()}


@pytest.mark.parametrize(
    "names",
    [
        "{split}_images {split}_labels",
        "x_{split} y_{split}",
        "X_{split} Y_{split}",
        "images_{split} labels_{split}",
    ],
)
def test_arrays_under_the_names_that_people_give(names: str, tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    for split, pair in arrays("train", "val", "test").items():
        found.update(zip(names.format(split=split).split(), (pair[0], pair[1][:, None]), strict=True))
    np.savez(tmp_path / "set.npz", **found)
    data = loaded(tmp_path / "set.npz")
    assert data.counts == {"train": COUNT, "val": COUNT, "test": COUNT}
    assert data.notes == ()


def test_arrays_with_texts_other_arrays_and_a_split_without_labels(tmp_path: Path) -> None:
    (images, labels), (unlabelled, _) = arrays("train", "test").values()
    content = {"x_train": images, "y_train": np.where(labels, "dog", "cat"), "x_test": unlabelled}
    np.savez(tmp_path / "set.npz", **content, y_test=np.full(COUNT, -1), boxes=np.zeros(3))
    data = loaded(tmp_path / "set.npz")
    assert data.classes == ("cat", "dog")
    assert data.notes == (
        "arrays that are not used: boxes",
        "no image of test has a label (all are -1 or empty): test is left out",
    )


def test_a_function_may_return_texts(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy\n"
        "def load():\n"
        "    pixels = numpy.random.default_rng(0).integers(0, 256, (20, 6, 6, 3), dtype='uint8')\n"
        "    return pixels, ['cat', 'dog'] * 10\n"
    )
    assert load(DataSpec(f"{tmp_path / 'mine.py'}:load"), tmp_path / "cache").classes == ("cat", "dog")


def test_files_of_a_series_that_are_not_there_are_told(tmp_path: Path) -> None:
    for number in (0, 2):
        put(tmp_path / "set" / f"train-0000{number}-of-00004-ab12.parquet")
    put(tmp_path / "set" / "test-00000-of-00001.parquet")
    assert loaded(tmp_path / "set").notes == ("2 of the 4 files of train are not there, such as number 1",)


def test_columns_that_are_not_used_are_named(tmp_path: Path) -> None:
    put(tmp_path / "set" / "train.parquet", mask=encoded(), coarse_label=NUMBERS)
    assert loaded(tmp_path / "set").notes == ("columns that are not used: mask, coarse_label",)


def test_an_empty_text_is_a_missing_label(tmp_path: Path) -> None:
    put(tmp_path / "set" / "train.parquet", ["", "cat", "dog", " "] * (COUNT // 4))
    with pytest.raises(InputError, match="row 0: label ''; one of cat, dog"):
        loaded(tmp_path / "set")


def test_metadata_that_is_nested_without_end_is_no_metadata(tmp_path: Path) -> None:
    file = put(tmp_path / "set" / "train.parquet")
    pq.write_table(pq.read_table(file).replace_schema_metadata({"huggingface": "[" * 100_000}), file)
    assert loaded(tmp_path / "set").classes == ("0", "1")
