"""Sources are found by name or by what a path is, and give a spec their defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import DataSpec
from toprung.trainables.data.sources.arrays import DigitsSource
from toprung.trainables.data.sources.function import FunctionSource
from toprung.trainables.data.sources.registry import (
    SOURCES,
    open_source,
    source_class,
    source_of,
    with_defaults,
)


def test_every_source_has_names_of_its_own() -> None:
    names = [name for source in SOURCES for name in source.names]
    assert len(set(names)) == len(names) >= len(SOURCES)
    assert all(name in source_class(name).names for name in names)


def test_a_reference_is_a_function() -> None:
    assert source_class("mine.py:images") is FunctionSource
    assert isinstance(open_source(DataSpec("package.module:images")), FunctionSource)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cifar_10", 'did you mean "cifar10"? must be one of digits, folder'),
        ("zzz", "'zzz'; must be one of digits, "),
        ("mine.py:", "or module:function"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(name: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        source_class(name)
    (problem,) = caught.value.problems
    assert problem.where == "data.source"
    assert hint in str(problem)


def test_a_path_is_recognised_by_what_is_there(tmp_path: Path) -> None:
    for name in ("photos/ant", "hub/data", "flat", "empty", "file.npz.d"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "photos" / "ant" / "1.png").touch()
    (tmp_path / "hub" / "data" / "train-0.parquet").touch()
    (tmp_path / "flat" / "train.parquet").touch()
    expected = {
        "photos": "folder",
        "hub": "parquet",
        "flat": "parquet",
        "empty": "folder",
        "file.npz.d": "folder",
        "absent": "folder",
        "absent.npz": "npz",
        "absent.parquet": "parquet",
    }
    assert {name: source_of(str(tmp_path / name)) for name in expected} == expected
    assert source_of(None) == "digits"


def test_an_image_size_that_is_not_given_is_the_sources(tmp_path: Path) -> None:
    assert with_defaults(DataSpec()).image_size == DigitsSource.default_image_size == 16
    assert with_defaults(DataSpec(image_size=8)).image_size == 8
    assert with_defaults(DataSpec("folder", str(tmp_path))).image_size is None
