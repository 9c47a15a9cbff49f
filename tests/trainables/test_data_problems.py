"""Bad input is told in one line: which key, which file or row, what is allowed."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from spaces.problem import InputError
from trainables.data import DataSpec, check, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def jpeg(shade: int, size: tuple[int, int] = (8, 8)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (shade, 255 - shade, 128)).save(out, "JPEG")
    return out.getvalue()


def make_folder(root: Path, classes: int = 2, each: int = 10) -> Path:
    for number in range(classes):
        for row in range(each):
            home = root / f"class{number}"
            home.mkdir(parents=True, exist_ok=True)
            (home / f"{row}.jpg").write_bytes(jpeg(number * 100 + row))
    return root


def make_parquet(root: Path, name: str = "train.parquet", **columns: Any) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    root.mkdir(parents=True, exist_ok=True)
    whole = {"image": [{"bytes": jpeg(row), "path": None} for row in range(12)], "label": [0, 1] * 6}
    pq.write_table(pa.table({**whole, **columns}), root / name)
    return root


def make_npz(path: Path, **arrays: Any) -> Path:
    whole = {"images": np.zeros((12, 8, 8, 3), np.uint8), "labels": np.arange(12) % 2}
    np.savez(path, **{**whole, **arrays})
    return path


def problem_of(spec: DataSpec, cache: Path) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        load(spec, cache)
    first = caught.value.problems[0]
    assert "\n" not in str(first)
    assert not list(cache.glob("*.part")), "a failed decoding leaves nothing behind"
    return first.where, str(first)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image_size", 0),
        ("image_size", -32),
        ("image_size", 100_000),
        ("image_size", 31.5),
        ("image_size", "big"),
        ("image_size", True),
        ("channels", 4),
        ("fit", "squash"),
        ("val_fraction", 0.0),
        ("val_fraction", 1.0),
        ("val_fraction", float("nan")),
        ("test_fraction", -0.1),
        ("test_fraction", "half"),
        ("seed", -1),
        ("seed", None),
        ("max_corrupt_fraction", 1.5),
        ("max_train_images", 0),
        ("path", 7),
        ("source", ""),
        ("label_column", None),
    ],
)
def test_a_value_out_of_range_is_named_by_its_key(key: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        DataSpec(**{key: value})
    assert [problem.where for problem in caught.value.problems] == [f"data.{key}"]
    assert repr(value) in str(caught.value)


def test_every_wrong_value_is_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        DataSpec(image_size=0, val_fraction=2, seed=-1, fit="squash")
    assert len(caught.value.problems) == 4


def test_fractions_must_leave_something_to_train_on() -> None:
    with pytest.raises(InputError, match=r"data.val_fraction: 0.6 \+ test_fraction 0.4"):
        DataSpec(val_fraction=0.6, test_fraction=0.4)


@pytest.mark.parametrize(
    ("given", "meant"), [("cifar_10", "cifar10"), ("digit", "digits"), ("Folder", "folder")]
)
def test_an_unknown_source_asks_what_was_meant(given: str, meant: str, tmp_path: Path) -> None:
    where, text = problem_of(DataSpec(given), tmp_path)
    assert where == "data.source"
    assert f"did you mean '{meant}'?" in text


@pytest.mark.parametrize("source", ["folder", "parquet", "npz"])
def test_a_source_that_reads_files_needs_a_path_that_exists(source: str, tmp_path: Path) -> None:
    assert "data.path: not given" in problem_of(DataSpec(source), tmp_path)[1]
    assert "nowhere does not exist" in problem_of(DataSpec(source, str(tmp_path / "nowhere")), tmp_path)[1]
    assert "local path" in problem_of(DataSpec(source, "s3://bucket/images"), tmp_path)[1]


@pytest.mark.parametrize("source", ["digits", "mnist"])
def test_a_source_without_files_takes_no_path(source: str, tmp_path: Path) -> None:
    assert problem_of(DataSpec(source, str(tmp_path)), tmp_path)[0] == "data.path"


FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file": (lambda root: root.write_bytes(jpeg(1)), "is a file"),
    "nothing in it": (lambda root: root.mkdir(), "no class folder"),
    "one class": (lambda root: make_folder(root, classes=1), "one class folder (class0)"),
    "an empty class": (lambda root: (make_folder(root) / "void").mkdir(), "class folder 'void' of train"),
    "a class of two images": (
        lambda root: make_folder(root, each=2),
        "class 'class0' has 2 images; at least 3",
    ),
    "a class unknown to train": (
        lambda root: (make_folder(root / "train"), make_folder(root / "test", classes=3)),
        "has a class 'class2' that train has not",
    ),
    "images of many sizes": (
        lambda root: (make_folder(root) / "class1" / "wide.jpg").write_bytes(jpeg(9, (20, 10))),
        "data.image_size: images of 8x8x3 in class0/0.jpg but 20x10x3 in class1/wide.jpg; the side in pixels",
    ),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_folder_that_cannot_be_used_says_why(case: str, tmp_path: Path) -> None:
    make, expected = FOLDERS[case]
    make(tmp_path / "images")
    where, text = problem_of(DataSpec("folder", str(tmp_path / "images")), tmp_path / "cache")
    assert where in ("data.path", "data.image_size")
    assert expected in text


BROKEN = {
    "empty": (b"", "(empty)"),
    "text": (b"this is no image", "(not an image in JPEG/PNG/BMP/GIF/WEBP)"),
    "truncated": (jpeg(3, (64, 64))[:-20], "(image file is truncated"),
    "header only": (jpeg(3)[:20], "("),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_image_is_skipped_by_name_up_to_the_allowed_share(case: str, tmp_path: Path) -> None:
    content, reason = BROKEN[case]
    (make_folder(tmp_path / "images") / "class1" / "bad.jpg").write_bytes(content)
    path = str(tmp_path / "images")

    where, text = problem_of(DataSpec("folder", path), tmp_path / "cache")
    assert where == "data.path"
    assert f"1 of 21 images cannot be decoded: class1/bad.jpg {reason}" in text
    assert "data.max_corrupt_fraction" in text

    dataset = load(DataSpec("folder", path, max_corrupt_fraction=0.05), tmp_path / "cache")
    assert sum(dataset.counts.values()) == 20
    assert len(dataset.skipped) == 1
    assert dataset.skipped[0].startswith(f"class1/bad.jpg {reason}")


def test_many_broken_images_are_named_in_one_error(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "images")
    for row in range(3):
        (root / "class0" / f"bad{row}.jpg").write_bytes(b"")
    _, text = problem_of(DataSpec("folder", str(root)), tmp_path / "cache")
    assert "3 of 23" in text
    assert all(f"bad{row}.jpg (empty)" in text for row in range(3))


def test_a_split_or_class_lost_to_broken_images_is_an_error(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "images" / "train").parent
    for number in (0, 1):
        (root / "test" / f"class{number}").mkdir(parents=True)
        (root / "test" / f"class{number}" / "0.jpg").write_bytes(b"")
    spec = DataSpec("folder", str(root), max_corrupt_fraction=0.9)
    assert "no image is left for test" in problem_of(spec, tmp_path / "cache")[1]

    for file in (root / "train" / "class1").iterdir():
        file.write_bytes(b"")
    for number in (0, 1):
        (root / "test" / f"class{number}" / "0.jpg").write_bytes(jpeg(number))
    (root / "val").mkdir()
    text = problem_of(DataSpec("folder", str(root), max_corrupt_fraction=0.9), tmp_path / "cache")[1]
    assert "no training image is left of class 'class1'" in text


ARRAYS: dict[str, tuple[dict[str, Any], str]] = {
    "negative label": ({"labels": np.arange(12) - 1}, "train row 0: label -1; class numbers"),
    "fractional label": ({"labels": np.arange(12) / 2}, "row 1: label 0.5 (and 5 more)"),
    "NaN label": ({"labels": np.array([0, 1, np.nan] * 4)}, "row 2: label nan (and 3 more)"),
    "infinite label": ({"labels": np.array([0, 1, np.inf] * 4)}, "row 2: label inf"),
    "text labels": ({"labels": np.array(["a", "b"] * 6)}, "labels of type <U1"),
    "labels of rank 3": ({"labels": np.zeros((12, 2, 2))}, "labels of shape (12, 2, 2)"),
    "a matrix of more than 0 and 1": (
        {"labels": np.array([[0, 1], [1, 2]] * 6)},
        "set.npz train row 1: label 2 (and 5 more); 0 and 1, one for each class",
    ),
    "a matrix and too few names": (
        {"labels": np.array([[0, 1, 1], [1, 0, 1]] * 6), "classes": np.array(["a", "b"])},
        "train: labels of shape (12, 3); 2 columns, one for each class",
    ),
    "a label that no image has": ({"labels": np.array([[0, 1, 1], [0, 0, 1]] * 6)}, "class '0' has 0 images"),
    "a label without a name": (
        {"classes": np.array(["a"])},
        "set.npz train row 1: label 1 is out of range; 0 to 0: there are 1 classes",
    ),
    "a label far out": ({"labels": np.array([0, 2**31 - 1] * 6)}, "fewer images than classes: 12 images"),
    "more classes than images": (
        {"classes": np.array([str(k) for k in range(13)])},
        "12 images for 13 classes",
    ),
    "a class named twice": ({"classes": np.array(["a", "a"])}, "class 'a' is named twice"),
    "a name for classes": ({"classes": np.array("ab")}, "classes given as 'ab'; a list"),
    "one class": ({"labels": np.zeros(12, int)}, "1 class (0)"),
    "a class never used": ({"labels": np.array([1, 2] * 6)}, "class '0' has 0 images"),
    "a label too many": ({"labels": np.arange(13) % 2}, "13 labels for 12 images"),
    "images of rank 2": ({"images": np.zeros((12, 64), np.uint8)}, "images of shape (12, 64)"),
    "images of rank 5": (
        {"images": np.zeros((12, 1, 8, 8, 3), np.uint8)},
        "images of shape (12, 1, 8, 8, 3)",
    ),
    "channels first": ({"images": np.zeros((12, 3, 8, 8), np.uint8)}, "(channels first?)"),
    "no pixels": ({"images": np.zeros((12, 0, 8, 3), np.uint8)}, "images of shape (12, 0, 8, 3)"),
    "float images": ({"images": np.zeros((12, 8, 8, 3), np.float32)}, "images of type float32; uint8"),
    "no images": (
        {"images": np.zeros((0, 8, 8, 3), np.uint8), "labels": np.zeros(0, int)},
        "no training images",
    ),
    "pickled objects": ({"images": np.array([None] * 12)}, "cannot be read"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_that_cannot_be_used_say_why(case: str, tmp_path: Path) -> None:
    arrays, expected = ARRAYS[case]
    path = make_npz(tmp_path / "set.npz", **arrays)
    where, text = problem_of(DataSpec("npz", str(path)), tmp_path / "cache")
    assert where == "data.path"
    assert expected in text


def test_splits_of_different_shapes_are_told_apart(tmp_path: Path) -> None:
    images, labels = np.zeros((12, 8, 8, 3), np.uint8), np.arange(12) % 2
    for key, other in {"data.channels": images[..., :1], "data.image_size": images[:, :4]}.items():
        path = tmp_path / "set.npz"
        np.savez(path, x_train=images, y_train=labels, x_test=other, y_test=labels)
        assert problem_of(DataSpec("npz", str(path)), tmp_path / "cache")[0] == key


def test_a_test_label_that_training_never_saw_is_out_of_range(tmp_path: Path) -> None:
    images, labels = np.zeros((12, 8, 8, 3), np.uint8), np.arange(12) % 2
    np.savez(tmp_path / "set.npz", x_train=images, y_train=labels, x_test=images, y_test=labels * 7)
    text = problem_of(DataSpec("npz", str(tmp_path / "set.npz")), tmp_path / "cache")[1]
    assert text == "data.path: set.npz test row 1: label 7 is out of range; 0 to 1: there are 2 classes"


def test_a_test_split_without_images_is_told_before_anything_is_decoded(tmp_path: Path) -> None:
    images, labels = np.zeros((12, 8, 8, 3), np.uint8), np.arange(12) % 2
    np.savez(tmp_path / "set.npz", x_train=images, y_train=labels, x_test=images[:0], y_test=labels[:0])
    problems = check(DataSpec("npz", str(tmp_path / "set.npz")))
    assert [str(problem) for problem in problems] == [
        "data.path: no test images; at least one, or no such split"
    ]


def test_every_bad_split_of_an_npz_is_told_at_once(tmp_path: Path) -> None:
    images, labels = np.zeros((12, 8, 8), np.float32), np.arange(12) % 2
    np.savez(tmp_path / "set.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    assert len(check(DataSpec("npz", str(tmp_path / "set.npz")))) == 2


def test_an_npz_without_the_known_names_lists_what_it_holds(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", pictures=np.zeros(3))
    assert "holds pictures; x_train" in problem_of(DataSpec("npz", str(tmp_path / "set.npz")), tmp_path)[1]
    (tmp_path / "text.npz").write_text("no archive")
    assert "cannot be read" in problem_of(DataSpec("npz", str(tmp_path / "text.npz")), tmp_path)[1]


PARQUETS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "no train file": (lambda root: make_parquet(root, "rows.parquet"), "data.path", "holds rows.parquet; a"),
    "not Parquet": (lambda root: (root.mkdir(), (root / "train.parquet").write_text("x" * 99)), "data.path",
                    "train.parquet cannot be read"),
    "an empty file": (lambda root: (root.mkdir(), (root / "train.parquet").touch()), "data.path", "(empty)"),
    "a text label": (lambda root: make_parquet(root, label=["cat", "dog"] * 6), "data.label_column",
                     "'label' of"),
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
def test_parquet_that_cannot_be_used_says_why(case: str, tmp_path: Path) -> None:
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


RAGGED = "import numpy as n\ndef load(): return [n.zeros((2, 2), 'u1'), n.zeros((3, 2), 'u1')], [0, 1]"
FUNCTIONS = {
    "broken.py:load": ("def load(:", "raised SyntaxError"),
    "raising.py:load": ("def load(): raise KeyError('x')", "raised KeyError"),
    "misnamed.py:lod": (
        "def load(): pass",
        "has no function 'lod'; a function of that module; did you mean 'load'",
    ),
    "nothing.py:load": ("def load(): return None", "returned a NoneType; (images, labels)"),
    "four.py:load": ("def load(): return 1, 2, 3, 4", "returned a tuple of 4"),
    "ragged.py:load": (RAGGED, "images of different shapes"),
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_a_function_that_cannot_be_used_says_why(case: str, tmp_path: Path) -> None:
    code, expected = FUNCTIONS[case]
    (tmp_path / case.partition(":")[0]).write_text(code)
    where, text = problem_of(DataSpec(str(tmp_path / case)), tmp_path / "cache")
    assert where == "data.source"
    assert expected in text


def test_a_function_whose_module_is_missing_says_so(tmp_path: Path) -> None:
    assert "no module 'no_such_module'" in problem_of(DataSpec("no_such_module:load"), tmp_path)[1]
    assert "mine.py does not exist" in problem_of(DataSpec(str(tmp_path / "mine.py:load")), tmp_path)[1]


def test_check_finds_what_load_would_raise_without_decoding(tmp_path: Path) -> None:
    make_folder(tmp_path / "images", classes=1)
    assert check(DataSpec("folder", str(tmp_path / "images")))[0].where == "data.path"
    assert check(DataSpec("cifar"))[0].where == "data.source"


def test_a_cache_that_cannot_be_written_is_the_users_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="TOPRUNG_CACHE") as caught:
        load(DataSpec(), tmp_path / "file" / "cache")
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems
