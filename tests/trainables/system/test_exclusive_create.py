"""Of several that create one file at the same moment one succeeds, in folders and on stores that guarantee it."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from toprung.trainables.system import exclusive_create
from toprung.trainables.system.exclusive_create import create_new
from toprung.trainables.system.storage import Storage


@pytest.fixture(params=["folder", "file URI", "folder without links", "fsspec", "s3", "s3 by environment"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    if request.param == "folder without links":

        def no_links(*_: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr("os.link", no_links)
    if request.param == "fsspec":
        return Storage.at(f"fsspec+memory://bucket-{uuid.uuid4().hex}/a folder/run")
    if not request.param.startswith("s3"):
        folder = tmp_path / "a folder %20 é"
        return Storage.at(folder.as_uri() if "URI" in request.param else folder)
    server = request.getfixturevalue("s3")
    uri = server.uri("a%20folder/run")
    if "environment" in request.param:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        uri = uri.partition("?")[0]
    return Storage.at(uri)


def test_a_file_is_created_once(storage: Storage) -> None:
    assert create_new(storage, "file", b"first") is None
    for _ in range(2):
        with pytest.raises(FileExistsError):
            create_new(storage, "file", b"second")
    assert bytes(storage.read("file")) == b"first"
    assert storage.list("") == ("file",), "nothing else is left there"


def test_of_many_that_create_a_file_one_succeeds(storage: Storage) -> None:
    def attempt(number: int) -> bool:
        try:
            create_new(storage, "file", str(number).encode())
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        succeeded = list(pool.map(attempt, range(16)))
    assert sum(succeeded) == 1
    assert bytes(storage.read("file")) == str(succeeded.index(True)).encode()


def test_an_answer_that_was_lost_is_no_refusal(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that repeats a request whose answer did not come is told that the file is there."""

    def twice(ask: Callable[..., Any]) -> Callable[..., Any]:
        def answer(*arguments: Any, **settings: Any) -> Any:
            ask(*arguments, **settings)
            return ask(*arguments, **settings)

        return answer

    monkeypatch.setattr("os.link", twice(os.link))
    monkeypatch.setattr("obstore.put", twice(__import__("obstore").put))
    assert create_new(storage, "file", b"content") is None
    assert bytes(storage.read("file")) == b"content"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        create_new(Storage.at(tmp_path / "file"), "name", b"content")


@pytest.fixture
def plain(s3: Any, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A store that passes over conditions."""
    s3.keeps_conditions = False
    monkeypatch.setattr(exclusive_create, "SETTLE_SECS", 0.0)
    return Storage.at(s3.uri("run"))


def test_a_store_that_passes_over_conditions_is_found_out(plain: Storage) -> None:
    assert "overwrites" in (create_new(plain, "file", b"first") or "")
    with pytest.raises(FileExistsError):
        create_new(plain, "file", b"second")


def test_without_conditions_the_last_to_put_has_the_file(
    plain: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda secs: plain.put("file", b"second"))
    with pytest.raises(FileExistsError):
        create_new(plain, "file", b"first")
    assert bytes(plain.read("file")) == b"second"


def test_the_reason_for_which_a_store_cannot_be_asked_is_given(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exclusive_create, "SETTLE_SECS", 0.0)

    def no_credentials() -> None:
        raise ValueError("no credentials")

    monkeypatch.setattr("obstore.auth.boto3.Boto3CredentialProvider", no_credentials)
    assert create_new(Storage.at(s3.uri("run")), "file", b"first") == "no credentials"
