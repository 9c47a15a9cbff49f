"""No row is lost and none is seen twice, wherever a compaction is cut off and whoever reads meanwhile."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toprung.results.tables.part_file import DamagedTableError
from toprung.results.tables.parts import (
    compact_parts,
    counter_of,
    part_name,
    part_names,
    put_part,
    read_table,
    sweep,
)
from toprung.results.tables.rows import epoch_row, rows_table
from toprung.results.tables.run_lock import RunLock
from toprung.results.tables.schema import TABLES, epochs_schema, run_schemas
from toprung.results.tables.writer import RunWriter
from toprung.spaces.errors import InputError
from toprung.trainables.system.storage import Storage
from toprung.trainables.trial.report import EpochReport

if TYPE_CHECKING:
    from collections.abc import Callable


class Killed(BaseException):
    """The process ends here."""


@dataclass(frozen=True)
class MortalStorage(Storage):
    """A storage whose process is killed at its n-th change: before the change, or right after it."""

    lives: list[int] = field(default_factory=list)
    after: bool = False

    def put(self, name: str, content: Any, partial: str | None = None) -> None:
        self._change(lambda: Storage.put(self, name, content, partial))

    def delete(self, name: str) -> None:
        self._change(lambda: Storage.delete(self, name))

    def _change(self, change: Callable[[], None]) -> None:
        self.lives[0] -= 1
        dies = self.lives[0] < 0
        if not dies or self.after:
            change()
        if dies:
            raise Killed


def mortal(storage: Storage, changes: int, after: bool) -> MortalStorage:
    return MortalStorage(
        storage.root, storage.base, storage.files, storage.is_local, lives=[changes], after=after
    )


def put_rows(storage: Storage, counter: int, sequences: list[int]) -> None:
    rows = [epoch_row(EpochReport("t00000", number + 1), number, "keep") for number in sequences]
    put_part(storage, "epochs", part_name(counter), rows_table(rows, epochs_schema()))


def sequences(root: str | Path) -> list[int]:
    return [int(number) for number in read_table(root, "epochs")["arrival_index"]]


CRASHES = st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 2)), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None)
@given(CRASHES)
def test_compaction_may_be_killed_at_any_change(crashes: list[tuple[int, bool, int]]) -> None:
    """Each crash: the changes before it, whether the last one still happens, and the parts written since."""
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage.at(folder)
        written: list[int] = []
        for changes, after, more in crashes:
            for _ in range(more + 1):
                counter = 1 + max(map(counter_of, part_names(storage, "epochs")), default=-1)
                put_rows(storage, counter, [len(written), len(written) + 1])
                written += [len(written), len(written) + 1]
            with contextlib.suppress(Killed):
                compact_parts(mortal(storage, changes, after), "epochs")
            assert sequences(folder) == written
            plain = pd.read_parquet(Path(folder) / "epochs")
            assert sorted(set(plain["arrival_index"])) == written, (
                "plain pandas reads at any time and misses nothing"
            )
        compact_parts(storage, "epochs")
        assert len(part_names(storage, "epochs")) == 1
        assert pd.read_parquet(Path(folder) / "epochs")["arrival_index"].tolist() == written


def test_rows_come_in_the_order_they_were_written_beyond_a_million_parts(tmp_path: Path) -> None:
    storage = Storage.at(tmp_path)
    for sequence, counter in enumerate([7, 999_999, 1_000_000]):
        put_rows(storage, counter, [sequence])
    assert sequences(tmp_path) == [0, 1, 2]


def test_half_written_files_are_never_read_and_swept_later(tmp_path: Path) -> None:
    storage = Storage.at(tmp_path)
    put_rows(storage, 0, [0])
    half = tmp_path / "epochs" / ".part-000001-aaaaaaaa.parquet.0badc0de"
    half.write_bytes(b"PAR1 and then the power went")
    assert sequences(tmp_path) == [0]
    assert len(pd.read_parquet(tmp_path / "epochs")) == 1
    sweep(storage, "epochs")
    assert not half.exists()
    assert sequences(tmp_path) == [0]


def test_files_that_vanish_during_a_read_start_it_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage.at(tmp_path)
    for counter in range(3):
        put_rows(storage, counter, [counter])
    read, compacted = Storage.read, []

    def read_and_compact(self: Storage, name: str) -> Any:
        content = read(self, name)
        if not compacted:
            compacted.append(True)
            compact_parts(storage, "epochs")
        return content

    monkeypatch.setattr(Storage, "read", read_and_compact)
    assert sequences(tmp_path) == [0, 1, 2]


def test_a_listing_torn_by_a_compaction_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading a folder is not one moment: the old part may be gone already and the new one not yet seen."""
    for counter in range(2):
        put_rows(Storage.at(tmp_path), counter, [counter])
    whole, calls = Storage.list, []

    def torn_at_first(self: Storage, folder: str) -> tuple[str, ...]:
        calls.append(folder)
        return whole(self, folder)[: len(calls) - 1]

    monkeypatch.setattr(Storage, "list", torn_at_first)
    assert sequences(tmp_path) == [0, 1]


def test_a_run_without_rows_has_the_columns_every_run_has(tmp_path: Path) -> None:
    for name in TABLES:
        frame = read_table(tmp_path / "new", name)
        assert frame.empty
        assert list(frame.columns) == run_schemas({})[name].names
    assert not (tmp_path / "new").exists(), "reading creates nothing"


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    Storage.at(tmp_path).put("epochs/part-000000-a.parquet", b"not parquet")
    with pytest.raises(DamagedTableError, match=r"epochs/part-000000-a\.parquet"):
        read_table(tmp_path, "epochs")


def test_an_object_store_holds_tables_as_a_folder_does(s3: Any) -> None:
    root = s3.uri("runs/a")
    storage = Storage.at(root)
    assert read_table(root, "epochs").empty
    for counter in range(3):
        put_rows(storage, counter, [counter])
    compact_parts(storage, "epochs")
    assert sequences(root) == [0, 1, 2]
    assert len(part_names(storage, "epochs")) == 1


@pytest.mark.parametrize("version", ["3", "1", None])
def test_tables_of_another_version_are_told_in_one_line(tmp_path: Path, version: str | None) -> None:
    storage = Storage.at(tmp_path)
    put_rows(storage, 0, [0])
    (part,) = (tmp_path / "epochs").iterdir()
    rows = pq.read_table(part)
    metadata = {key: value for key, value in rows.schema.metadata.items() if b"version" not in key}
    if version is not None:
        metadata[b"toprung.schema_version"] = version.encode()
    pq.write_table(rows.replace_schema_metadata(metadata), part)
    given = f"tables of schema version {version}" if version else "tables without a schema version"
    for read in (lambda: read_table(tmp_path, "epochs"), lambda: RunWriter(tmp_path, run_schemas({}))):
        with pytest.raises(InputError, match=f"^{tmp_path}/epochs: {given}; must be of version 2") as caught:
            read()
        assert "\n" not in str(caught.value)
    RunLock(tmp_path).release()
