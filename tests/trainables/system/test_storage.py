"""What lies in a folder of a run, at a local path and at a URI."""

from __future__ import annotations

from pathlib import Path

import pytest

from toprung.trainables.system.storage import Storage


@pytest.mark.parametrize("kind", ["", "file://"])
def test_the_files_and_the_folders_of_a_folder_are_listed_apart_and_none_where_it_is_missing(
    tmp_path: Path, kind: str
) -> None:
    storage = Storage.at(f"{kind}{tmp_path}/run")
    for name in ("confirm/b/job.yaml", "confirm/a/trials/part", "confirm/note", "job.yaml"):
        storage.put(name, b"content")
    assert storage.folders("confirm") == ("a", "b")
    assert storage.list("confirm") == ("note",)
    assert storage.folders("none") == storage.list("none") == ()
