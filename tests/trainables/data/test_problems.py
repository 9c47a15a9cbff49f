"""Bad input is refused in one line: which key, which file or row, what is allowed."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import DataSpec, check, load

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


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        DataSpec(image_size=0, val_fraction=2, seed=-1, fit="squash")
    assert len(caught.value.problems) == 4


def test_fractions_must_leave_something_to_train_on() -> None:
    with pytest.raises(InputError, match=r"data.val_fraction: 0.6 \+ test_fraction 0.4"):
        DataSpec(val_fraction=0.6, test_fraction=0.4)


@pytest.mark.parametrize(
    ("given", "meant"), [("cifar_10", "cifar10"), ("digit", "digits"), ("Folder", "folder")]
)
def test_an_unknown_source_asks_what_was_meant(given: str, meant: str, tmp_path: Path, problem_of) -> None:
    where, text = problem_of(DataSpec(given), tmp_path)
    assert where == "data.source"
    assert f'did you mean "{meant}"?' in text


@pytest.mark.parametrize("source", ["folder", "parquet", "npz"])
def test_a_source_that_reads_files_needs_a_path_that_exists(source: str, tmp_path: Path, problem_of) -> None:
    assert "data.path: not given" in problem_of(DataSpec(source), tmp_path)[1]
    assert "nowhere does not exist" in problem_of(DataSpec(source, str(tmp_path / "nowhere")), tmp_path)[1]
    assert "local path" in problem_of(DataSpec(source, "s3://bucket/images"), tmp_path)[1]


@pytest.mark.parametrize("source", ["digits", "mnist"])
def test_a_source_without_files_takes_no_path(source: str, tmp_path: Path, problem_of) -> None:
    assert problem_of(DataSpec(source, str(tmp_path)), tmp_path)[0] == "data.path"


FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file": (lambda root: root.write_bytes(jpeg(1)), "is a file"),
    "nothing in it": (lambda root: root.mkdir(), "no class folder"),
    "one class": (lambda root: make_folder(root, classes=1), "one class folder with images (class0)"),
    "a class of unreadable files": (
        lambda root: [(make_folder(root) / "phone").mkdir(), (root / "phone" / "1.heic").touch()],
        "class folder 'phone' in {root} has no image, but 1 .heic; convert them: JPEG, PNG",
    ),
    "files of no class": (
        lambda root: [root.mkdir(), (root / "1.jpg").write_bytes(jpeg(1))],
        "has no class folder with images",
    ),
    "a class of two images": (
        lambda root: make_folder(root, each=2),
        "class 'class0' has 2 images; at least 3, one each for train, val, test: add images, or take the class out, or "
        "draw no test images (data.splits: {test: 0})",
    ),
    "a class unknown to train": (
        lambda root: (make_folder(root / "train"), make_folder(root / "test", classes=3)),
        "has a class 'class2' that train has not",
    ),
    "splits without train": (
        lambda root: (make_folder(root / "Test"), make_folder(root / "val")),
        "has Test, val, but no train folder with class folders in it; a folder with one folder of images for each",
    ),
    "splits without classes": (
        lambda root: [
            folder.rename(root / split)
            for folder, split in zip(make_folder(root).iterdir(), ("train", "test"), strict=True)
        ],
        "has test, train, but no train folder with class folders in it",
    ),
    "splits without classes beside another folder": (
        lambda root: [
            folder.rename(root / name)
            for folder, name in zip(
                make_folder(root, classes=3).iterdir(), ("annotations", "train2017", "val2017"), strict=True
            )
        ],
        "has annotations, train2017, val2017, but no train folder with class folders in it",
    ),
    "images and their masks": (
        lambda root: [
            folder.rename(root / name)
            for folder, name in zip(make_folder(root).iterdir(), ("images", "Masks"), strict=True)
        ],
        "has Masks, images: the parts of a data set for another task, and no classes",
    ),
    "a detection data set": (
        lambda root: [
            (root / split / part).mkdir(parents=True)
            for split in ("train", "valid")
            for part in ("images", "labels")
        ],
        "has train/images, train/labels: the parts of a data set for another task, and no classes",
    ),
    "files in no class folder, and a table": (
        lambda root: [root.mkdir(), (root / "1.jpg").write_bytes(jpeg(1)), (root / "labels.csv").touch()],
        "where a table or file names say the classes, give data.source FILE.py:FUNCTION",
    ),
    "a split twice": (
        lambda root: [make_folder(root / split) for split in ("train", "val", "validation")],
        "has val and validation; one folder for val",
    ),
    "images of many sizes": (
        lambda root: (make_folder(root) / "class1" / "wide.jpg").write_bytes(jpeg(9, (20, 10))),
        "data.image_size: images of 8x8x3 in class0/0.jpg but 20x10x3 in class1/wide.jpg; the side in pixels",
    ),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_folder_that_cannot_be_used_says_why(case: str, tmp_path: Path, problem_of) -> None:
    make, expected = FOLDERS[case]
    make(tmp_path / "images")
    where, text = problem_of(DataSpec("folder", str(tmp_path / "images")), tmp_path / "cache")
    assert where in ("data.path", "data.image_size")
    assert expected.replace("{root}", str(tmp_path / "images")) in text


@pytest.mark.parametrize("where", ["class1", "class1/more", "."])
def test_a_folder_that_may_not_be_listed_is_named(
    where: str, forbid: Callable[[Path], None], tmp_path: Path, problem_of
) -> None:
    root = make_folder(tmp_path / "images")
    (root / "class1" / "more").mkdir()
    forbid(root / where)
    spec = DataSpec("folder", str(root))
    key, text = problem_of(spec, tmp_path / "cache")
    assert key == "data.path"
    assert text.endswith(
        f"{root / where} cannot be read (Permission denied); files and folders this user may read"
    )
    assert [str(problem) for problem in check(spec)] == [text]


BROKEN = {
    "empty": (b"", "(empty)"),
    "text": (b"this is no image", "(not an image: JPEG, PNG, TIFF, WebP,"),
    "truncated": (jpeg(3, (64, 64))[:-20], "(image file is truncated"),
    "header only": (jpeg(3)[:20], "("),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_image_is_skipped_by_name_up_to_the_allowed_share(
    case: str, tmp_path: Path, problem_of
) -> None:
    content, reason = BROKEN[case]
    (make_folder(tmp_path / "images") / "class1" / "bad.jpg").write_bytes(content)
    path = str(tmp_path / "images")

    where, text = problem_of(DataSpec("folder", path, max_corrupt_fraction=0), tmp_path / "cache")
    assert where == "data.path"
    assert f"1 of 21 images cannot be decoded: class1/bad.jpg {reason}" in text
    assert text.endswith("; at most 0; data.max_corrupt_fraction 0.05 skips so many by name")

    dataset = load(DataSpec("folder", path), tmp_path / "cache")
    assert sum(dataset.counts.values()) == 20
    assert len(dataset.skipped) == 1
    assert dataset.skipped[0].startswith(f"class1/bad.jpg {reason}")


def test_many_broken_images_are_named_in_one_error(tmp_path: Path, problem_of) -> None:
    root = make_folder(tmp_path / "images")
    for row in range(3):
        (root / "class0" / f"bad{row}.jpg").write_bytes(b"")
    _, text = problem_of(DataSpec("folder", str(root)), tmp_path / "cache")
    assert "3 of 23" in text
    assert all(f"bad{row}.jpg (empty)" in text for row in range(3))


def test_a_split_or_class_lost_to_broken_images_is_an_error(tmp_path: Path, problem_of) -> None:
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


RAGGED = "import numpy as n\ndef load(): return [n.zeros((2, 2), 'u1'), n.zeros((3, 2), 'u1')], [0, 1]"
FUNCTIONS = {
    "broken.py:load": ("def load(:", "fails to load: SyntaxError"),
    "raising.py:load": ("def load(): raise KeyError('x')", "fails: KeyError"),
    "misnamed.py:lod": (
        "def load(): pass",
        "has no 'lod'; did you mean \"load\"?",
    ),
    "nothing.py:load": ("def load(): return None", "returned a NoneType; (images, labels)"),
    "four.py:load": ("def load(): return 1, 2, 3, 4", "returned a tuple of 4"),
    "ragged.py:load": (RAGGED, "images of different shapes"),
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_a_function_that_cannot_be_used_says_why(case: str, tmp_path: Path, problem_of) -> None:
    code, expected = FUNCTIONS[case]
    (tmp_path / case.partition(":")[0]).write_text(code)
    where, text = problem_of(DataSpec(str(tmp_path / case)), tmp_path / "cache")
    assert where == "data.source"
    assert expected in text


def test_a_function_whose_module_is_missing_says_so(tmp_path: Path, problem_of) -> None:
    assert "no module 'no_such_module'" in problem_of(DataSpec("no_such_module:load"), tmp_path)[1]
    assert "no file" in problem_of(DataSpec(str(tmp_path / "mine.py:load")), tmp_path)[1]


def test_check_finds_what_load_would_raise_without_decoding(tmp_path: Path) -> None:
    make_folder(tmp_path / "images", classes=1)
    assert check(DataSpec("folder", str(tmp_path / "images")))[0].where == "data.path"
    assert check(DataSpec("cifar"))[0].where == "data.source"


def test_a_cache_that_cannot_be_written_is_the_users_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="TOPRUNG_CACHE") as caught:
        load(DataSpec(), tmp_path / "file" / "cache")
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems
