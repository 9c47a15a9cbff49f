"""The cache keeps to its bound: the least recently used entries go, those in use stay."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from toprung.spaces.errors import InputError
from toprung.trainables.data.cache.cache import cached
from toprung.trainables.data.cache.eviction import evict

ROOT = Path(__file__).parents[4]
ENTRY_BYTES = 1000
ENTRIES = 100
PROGRAM = """
import sys
from pathlib import Path
from toprung.trainables.data.cache.cache import cached
def build(folder): (folder / "images").write_bytes(bytes(1000))
for key in sys.argv[2:]:
    cached(Path(sys.argv[1]), key, lambda entry: (entry / "images").is_file(), build)
print("ready", flush=True)
sys.stdin.read()
"""


def elsewhere(folder: Path, *keys: str) -> subprocess.Popen[str]:
    """A process that builds the entries that are missing, and uses all of them until its stdin ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), *keys],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def make(folder: Path, key: str) -> None:
    def build(entry: Path) -> None:
        (entry / "images").write_bytes(bytes(ENTRY_BYTES))

    cached(folder, key, lambda entry: (entry / "images").is_file(), build)


def entries(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir() if entry.is_dir()}


def used_at(folder: Path, **times: int) -> None:
    for key, secs in times.items():
        os.utime(folder / key / ".used", (secs, secs))


def test_past_the_bound_the_entry_used_longest_ago_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(tmp_path, "a", "b", "c").communicate()
    used_at(tmp_path, a=3, b=1, c=2)
    (tmp_path / "of a person").mkdir()
    make(tmp_path, "d")
    assert entries(tmp_path) == {"a", "b", "c", "d", "of a person"}, "far below the default bound"
    monkeypatch.setenv("TOPRUNG_CACHE_GB", str(3.5 * ENTRY_BYTES / 1e9))
    make(tmp_path, "e")
    assert entries(tmp_path) == {"a", "d", "e", "of a person"}


def test_an_entry_that_is_used_again_counts_as_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere(tmp_path, "a", "b").communicate()
    used_at(tmp_path, a=1, b=2)
    elsewhere(tmp_path, "a").communicate()
    monkeypatch.setenv("TOPRUNG_CACHE_GB", str(2.5 * ENTRY_BYTES / 1e9))
    make(tmp_path, "c")
    assert entries(tmp_path) == {"a", "c"}


def test_what_a_living_process_uses_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPRUNG_CACHE_GB", str(ENTRY_BYTES / 1e9))
    user = elsewhere(tmp_path, "a")
    make(tmp_path, "b")
    make(tmp_path, "c")
    assert entries(tmp_path) == {"a", "b", "c"}, "one is used there, two here"
    user.communicate()
    make(tmp_path, "d")
    assert entries(tmp_path) == {"b", "c", "d"}


def test_an_entry_that_another_user_made_stays_while_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(tmp_path, "a").communicate()
    open_file = os.open

    def opened(path: Any, flags: int, *mode: int) -> int:
        """As the system does where the mark is another user's (but not to root, who may run the tests)."""
        if Path(path) == tmp_path / "a" / ".used" and flags & os.O_ACCMODE != os.O_RDONLY:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return open_file(path, flags, *mode)

    monkeypatch.setattr("os.open", opened)
    make(tmp_path, "a")
    monkeypatch.setenv("TOPRUNG_CACHE_GB", str(ENTRY_BYTES / 1e9))
    elsewhere(tmp_path, "b").communicate()
    assert entries(tmp_path) == {"a", "b"}


@pytest.mark.parametrize("what", ["4242", "evicted", "damaged"])
def test_what_a_killed_process_left_goes_with_the_next_entry_made(what: str, tmp_path: Path) -> None:
    elsewhere(tmp_path, "a").communicate()
    (tmp_path / "a").rename(tmp_path / f"a.{what}.part")
    (tmp_path / "films.of a person.part").mkdir()
    make(tmp_path, "b")
    assert entries(tmp_path) == {"b", "films.of a person.part"}


def test_what_another_process_is_building_stays(tmp_path: Path) -> None:
    (tmp_path / "a.4242.part").mkdir()
    with FileLock(tmp_path / "a.lock"):
        elsewhere(tmp_path, "b").communicate()
    assert entries(tmp_path) == {"a.4242.part", "b"}


def test_processes_that_evict_at_once_do_not_trip_over_one_another(tmp_path: Path) -> None:
    for number in range(ENTRIES):
        entry = tmp_path / f"{number:03}"
        entry.mkdir()
        for name in ("images", "labels", "manifest", ".used"):
            (entry / name).write_bytes(bytes(ENTRY_BYTES // 4))
        os.utime(entry / ".used", (number, number))
    with ThreadPoolExecutor(8) as pool:  # each opens and locks for itself, as a process does
        list(pool.map(lambda _: evict(tmp_path, ENTRY_BYTES), range(8)))
    assert entries(tmp_path) <= {f"{ENTRIES - 1:03}"}


@pytest.mark.parametrize("text", ["0", "-1", "much", "nan"])
def test_a_bound_that_is_no_number_is_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPRUNG_CACHE_GB", text)
    with pytest.raises(InputError, match=r"TOPRUNG_CACHE_GB: .*a number of GB above 0"):
        make(tmp_path, "a")
