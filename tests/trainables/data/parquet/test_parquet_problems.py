"""Parquet files that hold no labelled images are refused in one line: which file, column and row."""

from __future__ import annotations

import io
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from toprung.trainables.data.dataset import DataSpec, check, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def jpeg(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 255 - shade, 128)).save(out, "JPEG")
    return out.getvalue()


def make_parquet(root: Path, name: str = "train.parquet", **columns: Any) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    root.mkdir(parents=True, exist_ok=True)
    valid = {"image": [{"bytes": jpeg(row), "path": None} for row in range(12)], "label": [0, 1] * 6}
    pq.write_table(pa.table({**valid, **columns}), root / name)
    return root


PARQUETS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "no train file": (lambda root: make_parquet(root, "test.parquet"), "data.path", "holds test.parquet; a"),
    "several data sets": (
        lambda root: [make_parquet(root / name) for name in ("one", "two")], "data.path",
        "holds the data sets one, two; one of them, as in"),
    "not Parquet": (lambda root: (root.mkdir(), (root / "train.parquet").write_text("x" * 99)), "data.path",
                    "train.parquet cannot be read"),
    "an empty file": (lambda root: (root.mkdir(), (root / "train.parquet").touch()), "data.path", "(empty)"),
    "dates for labels": (lambda root: make_parquet(root, label=[date(2026, 1, 1)] * 12), "data.label_column",
                         "'label' of"),
    "texts in one file": (
        lambda root: (make_parquet(root), make_parquet(root, "test.parquet", label=["a", "b"] * 6)),
        "data.label_column", "numbers in some files and texts in others"),
    "a text unknown to train": (
        lambda root: [make_parquet(root, f"{name}.parquet", label=[name, "b"] * 6) for name in ("train", "test")],
        "data.path", "test.parquet row 0: label 'test'; one of b, train"),
    "a missing label": (lambda root: make_parquet(root, label=[0, None] * 6), "data.path",
                        "train.parquet row 1: no label"),
    "a negative label": (lambda root: make_parquet(root, label=[0, 1, -5] * 4), "data.path",
                         "train.parquet row 2: label -5"),
    "numbers for images": (lambda root: make_parquet(root, image=list(range(12))), "data.image_column",
                           "holds int64; encoded images"),
    "a label without a class": (
        lambda root: (make_parquet(root) / "classes.txt").write_text("only\n"), "data.path",
        "train.parquet row 1: label 1 is out of range"),
}  # fmt: skip


@pytest.mark.parametrize("case", PARQUETS)
def test_parquet_that_cannot_be_used_says_why(case: str, tmp_path: Path, problem_of) -> None:
    make, key, expected = PARQUETS[case]
    make(tmp_path / "set")
    where, text = problem_of(DataSpec("parquet", str(tmp_path / "set")), tmp_path / "cache")
    assert where == key
    assert expected in text


def test_missing_columns_list_those_that_are_there(tmp_path: Path) -> None:
    spec = DataSpec("parquet", str(make_parquet(tmp_path / "set")), image_column="img", label_column="fine")
    problems = check(spec)
    assert [problem.where for problem in problems] == ["data.image_column", "data.label_column"]
    assert "'img'; one of the columns of" in str(problems[0])
    assert str(problems[0]).endswith("image, label")


def test_a_parquet_row_without_an_image_is_named(tmp_path: Path) -> None:
    rows = [{"bytes": None if row == 4 else jpeg(row), "path": "x.jpg"} for row in range(12)]
    spec = DataSpec("parquet", str(make_parquet(tmp_path / "set", image=rows)), max_corrupt_fraction=0.1)
    assert load(spec, tmp_path / "cache").skipped == ("train.parquet row 4 (empty)",)
