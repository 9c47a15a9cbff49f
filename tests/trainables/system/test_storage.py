"""One suite for every kind of storage: local folders, file://, an S3 server, and a file system of fsspec."""

from __future__ import annotations

import os
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from toprung.spaces.errors import InputError
from toprung.trainables.system.storage import Storage
from toprung.trainables.system.uris import is_uri, join

AWKWARD = 'it\'s a "run" %20?x=1#2 é\n;&'
KINDS = ["folder", "awkward folder", "file URI", "awkward file URI", "s3", "fsspec"]


@pytest.fixture(params=KINDS)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return str(request.getfixturevalue("s3").uri("runs/a"))
    if request.param == "fsspec":
        return f"fsspec+memory://bucket-{uuid.uuid4().hex}/runs/a"
    folder = tmp_path / (AWKWARD if "awkward" in request.param else "plain") / "a"
    return folder.as_uri() if "URI" in request.param else str(folder)


def content(storage: Storage, name: str) -> bytes:
    return bytes(storage.read(name))


def test_what_is_put_is_read_back_and_replaced(root: str) -> None:
    storage = Storage.at(root)
    for written in (b"first", b"", b"longer than the first"):
        storage.put("folder/file", written)
        assert content(storage, "folder/file") == written
        assert content(Storage.at(root), "folder/file") == written
    assert storage.list("folder") == ("file",), "nothing else is left there"


def test_a_large_file_is_put_whole(root: str) -> None:
    large = os.urandom(12_000_000)
    Storage.at(root).put("large", large)
    assert content(Storage.at(root), "large") == large


def test_a_root_that_is_not_there_holds_nothing(root: str) -> None:
    storage = Storage.at(root)
    assert storage.entries() == storage.list("") == storage.folders("none") == ()
    assert storage.stat() is None and storage.stat("file") is None and not storage.exists("file")
    storage.delete("file")
    with pytest.raises(FileNotFoundError):
        storage.read("file")
    with pytest.raises(FileNotFoundError):
        storage.open("file")
    if storage.is_local:
        assert not Path(storage.base).exists(), "reading creates nothing"


def test_the_files_and_the_folders_of_a_folder_are_listed_apart(root: str) -> None:
    storage = Storage.at(root)
    for name in ("confirm/b/job.yaml", "confirm/a/trials/part", "confirm/note", "job.yaml"):
        storage.put(name, b"content")
    assert storage.folders("confirm") == ("a", "b")
    assert storage.list("confirm") == ("note",)
    assert storage.list("") == ("job.yaml",) and storage.folders("") == ("confirm",)
    below = {entry.name for entry in storage.entries("confirm", recursive=True) if not entry.is_folder}
    assert below == {"b/job.yaml", "a/trials/part", "note"}


def test_a_file_has_a_size_and_a_folder_is_no_file(root: str) -> None:
    storage = Storage.at(root)
    storage.put("folder/file", b"12345")
    (entry,) = storage.entries("folder")
    found, folder = storage.stat("folder/file"), storage.stat("folder")
    assert (entry.name, entry.is_folder, entry.size) == ("file", False, 5)
    assert found is not None and (found.is_folder, found.size) == (False, 5)
    assert folder is not None and folder.is_folder
    assert storage.exists("folder/file") and not storage.exists("folder")


def test_a_name_may_hold_what_means_something_in_a_uri(root: str) -> None:
    storage = Storage.at(root)
    name = "a folder/it's %20 100% #1 & é?=.txt"
    storage.put(name, b"content")
    assert storage.entries("a folder") == (storage.entries("a folder")[0]._replace(name=Path(name).name),)
    assert content(storage, name) == b"content"
    storage.move(name, "plain")
    storage.delete("plain")
    assert not storage.exists(name) and not storage.exists("plain")


def test_a_moved_file_takes_the_place_of_another(root: str) -> None:
    storage = Storage.at(root)
    storage.put("newest", b"new")
    storage.put("best", b"old")
    storage.move("newest", "best")
    assert content(storage, "best") == b"new" and storage.list("") == ("best",)
    with pytest.raises(FileNotFoundError):
        storage.move("newest", "best")
    assert content(storage, "best") == b"new"


def test_an_open_file_is_read_from_anywhere(root: str) -> None:
    storage = Storage.at(root)
    storage.put("file", b"0123456789")
    with storage.open("file") as stream:
        stream.seek(4)
        assert stream.read(3) == b"456"


def test_a_name_joined_to_a_root_leads_to_the_same_file(root: str) -> None:
    Storage.at(join(root, "confirm", "b")).put("job.yaml", b"content")
    assert content(Storage.at(root), "confirm/b/job.yaml") == b"content"
    assert content(Storage.at(join(join(root, "confirm"), "b")), "job.yaml") == b"content"


def test_a_put_that_fails_leaves_the_file_as_it_was(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage.at(root)
    storage.put("file", b"old")
    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", full_disk)
        failing = storage if storage.is_local else replace(storage, files=FullFiles(storage.files))
        with pytest.raises(OSError, match="No space"):
            failing.put("file", b"new")
    assert content(storage, "file") == b"old" and len(storage.entries()) == 1


def full_disk(*_: Any) -> None:
    raise OSError(28, "No space left on device")


class FullFiles:
    """A file system that opens no file for writing."""

    def __init__(self, files: Any) -> None:
        self._files = files

    def __getattr__(self, name: str) -> Any:
        return full_disk if name == "open_output_stream" else getattr(self._files, name)


class InterruptedFiles(FullFiles):
    """A file system whose user presses Ctrl-C when a file is opened for the first time, before it is written."""

    pressed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)

    def open_output_stream(self, path: str) -> Any:
        stream = self._files.open_output_stream(path)
        if not self.pressed:
            self.pressed = True
            stream.close()  # as the stream does when nobody refers to it any more
            interrupt()
        return stream


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def test_an_interrupt_leaves_the_old_or_the_new_content(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage.at(root)
    storage.put("job.yaml", b"old")
    monkeypatch.setattr("os.fsync", interrupt)
    interrupted = storage if storage.is_local else replace(storage, files=InterruptedFiles(storage.files))
    with pytest.raises(KeyboardInterrupt):
        interrupted.put("job.yaml", b"new")
    assert content(storage, "job.yaml") == (b"old" if storage.is_local else b"new")
    assert storage.list("") == ("job.yaml",)


def test_local_content_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr("os.fsync", lambda handle: (steps.append("sync"), sync(handle)))
    monkeypatch.setattr("os.replace", lambda old, new: (steps.append("rename"), rename(old, new)))
    Storage.at(tmp_path).put("file", b"content")
    assert steps == ["sync", "rename", "sync"], "the content, the name, and the folder that holds the name"


def test_a_partial_file_that_is_deleted_ends_its_put_without_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, sync = Storage.at(tmp_path), os.fsync

    def delete_meanwhile(handle: int) -> None:
        sync(handle)
        (tmp_path / "partial").unlink(missing_ok=True)

    monkeypatch.setattr("os.fsync", delete_meanwhile)
    storage.put("file", b"content", partial="partial")
    assert storage.entries() == ()


@pytest.mark.parametrize("uri", ["s3://key:very-secret@bucket/run", "s3://bucket/run?secret_key=very-secret"])
def test_a_uri_with_credentials_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(
        InputError, match=r"\*\*\*.*; must hold no password or key: set AWS_ACCESS_KEY_ID"
    ) as caught:
        Storage.at(uri)
    assert "very-secret" not in str(caught.value)


def test_a_store_that_is_unknown_or_refuses_is_an_error_of_the_system(s3: Any) -> None:
    for unknown in ("nowhere://bucket/run", "fsspec+nowhere://bucket/run"):
        with pytest.raises(OSError, match="nowhere"):
            Storage.at(unknown)
    s3.put("run/file", b"content")
    s3.refused.add("run/file")
    with pytest.raises(OSError, match="ACCESS_DENIED"):
        Storage.at(s3.uri("run")).read("file")


def test_only_what_begins_with_a_scheme_is_a_uri() -> None:
    assert [text for text in ("s3://b/p", "file:///p", "/runs/x://y", "runs", "./a://b") if is_uri(text)] == [
        "s3://b/p",
        "file:///p",
    ]


def test_a_working_folder_whose_name_is_no_text_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / os.fsdecode(b"x\xff")
    folder.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match="must be a path that UTF-8 holds"):
        Storage.at("runs")
