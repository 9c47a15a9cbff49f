"""The folder of the cache, and how one process builds an entry for all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from toprung.spaces.errors import InputError
from toprung.trainables.data.cache.cache import cache_folder, cached


def is_complete(entry: Path) -> bool:
    return (entry / "images").is_file()


def build(entry: Path) -> None:
    (entry / "images").write_text("images")


def fail(entry: Path) -> None:
    (entry / "half").touch()
    raise ValueError("stop")


def test_an_entry_is_built_once(tmp_path: Path) -> None:
    entry = cached(tmp_path, "key", is_complete, build)
    assert entry == tmp_path / "key"
    assert cached(tmp_path, "key", is_complete, lambda _: pytest.fail("built again")) == entry


def test_an_entry_that_fails_to_build_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop"):
        cached(tmp_path, "key", is_complete, fail)
    assert [file.name for file in tmp_path.iterdir() if file.is_dir()] == []
    assert is_complete(cached(tmp_path, "key", is_complete, build))


def test_a_damaged_entry_is_built_again_and_what_is_mapped_stays(tmp_path: Path) -> None:
    entry = cached(tmp_path, "key", is_complete, build)
    with (entry / "images").open() as mapped:
        (entry / "images").rename(entry / "images.lost")
        assert is_complete(cached(tmp_path, "key", is_complete, build))
        assert mapped.read() == "images"
    assert sorted(file.name for file in entry.iterdir()) == [".used", "images"]


def test_the_folder_is_the_one_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPRUNG_CACHE", str(tmp_path / "named"))
    assert cache_folder() == tmp_path / "named"
    assert cache_folder(tmp_path / "given") == tmp_path / "given"


def test_without_a_name_the_cache_is_private_to_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOPRUNG_CACHE", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = cache_folder()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o077 == 0


def test_a_cache_someone_else_put_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOPRUNG_CACHE", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    cache_folder().rmdir()
    (tmp_path / f"toprung-cache-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="TOPRUNG_CACHE"):
        cache_folder()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"TOPRUNG_CACHE: .*file/cache: .*; TOPRUNG_CACHE set to a folder"):
        cache_folder(tmp_path / "file" / "cache")
