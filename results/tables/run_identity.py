"""What tells a run from another of the same name: an id made once, in a file of the run folder and in every part."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from toprung.results.tables.schema import TABLES, run_id_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from toprung.trainables.system.storage import Storage

IDENTITY_FILE = "run_identity"


def recorded_id(storage: Storage) -> str | None:
    """The run's id by its file; None without the file, as in a run of an earlier version."""
    try:
        text = bytes(storage.read(IDENTITY_FILE)).decode("ascii", "replace").strip()
    except OSError:
        return None
    return text or None


def kept_id(storage: Storage) -> str:
    """The run's id, which stays when its folder is moved or copied: by its file, else by its parts, else a new one."""
    found = recorded_id(storage)
    if found is None:
        found = commonest_part_id(storage) or uuid.uuid4().hex
        record_id(storage, found)
    return found


def record_id(storage: Storage, run_id: str) -> None:
    """Write the file."""
    storage.put(IDENTITY_FILE, run_id.encode())


def commonest_id(ids: Iterable[str | None]) -> str | None:
    """The id that most parts have; None where none has one."""
    counted = Counter(run_id for run_id in ids if run_id is not None)
    return counted.most_common(1)[0][0] if counted else None


def commonest_part_id(storage: Storage) -> str | None:
    """The id that most parts of the run have; None where none has one."""
    return commonest_id(_ids_of_parts(storage))


def _ids_of_parts(storage: Storage) -> Iterable[str | None]:
    for table in TABLES:
        for name in storage.list(table) if storage.obstacle(table) is None else ():
            try:
                yield run_id_of(pq.read_schema(pa.BufferReader(storage.read(f"{table}/{name}"))))
            except (OSError, pa.ArrowException):  # told by whoever reads the rows
                continue
