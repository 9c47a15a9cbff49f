"""One Parquet part: rows, what it says of other parts, and the digest by which damage is noticed.

Each page has Parquet's own checksum, which every reader can verify. A page's checksum does not cover the footer, which
names and types the columns, so the footer holds a digest of the rows as they are read, with their names and types, and
of what the part says of other parts. Two things escape it: the rows of a part that another program has written, which
has no digest, and a change that leaves rows and names as they were.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from toprung.results.tables.foreign_types import as_written_here
from toprung.results.tables.schema import SCHEMA_VERSION, run_id_of, run_schemas, schema_version
from toprung.spaces.errors import InputError, Problem, first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Columns = Callable[[], Mapping[str, pa.DataType]]

_REPLACES, _FOLLOWS, _DIGEST = b"toprung.replaces", b"toprung.follows", b"toprung.rows_sha256"
NAMED = 3


class DamagedTableError(InputError):
    """A table is damaged, incomplete or holds what is none of its own: repair the run."""

    @classmethod
    def of(cls, where: str, given: str, root: str) -> DamagedTableError:
        """The error of a file or table `where`, in the run folder `root`."""
        rule = f"`toprung repair {root}` keeps what can be read and says what is lost"
        return cls([Problem(where, given, rule)])


@dataclass(frozen=True)
class Part:
    """A part that was read.

    Attributes:
        rows: Its rows, in the columns' types of this package.
        replaces: The names of the parts whose rows it holds too.
        follows: The names of the parts that counted when it was begun.
    """

    rows: pa.Table
    replaces: frozenset[str] = frozenset()
    follows: frozenset[str] = frozenset()

    @property
    def run_id(self) -> str | None:
        """The run that it says it is of; None where it says nothing, as one that another program wrote back."""
        return run_id_of(self.rows.schema)


def encode_part(rows: pa.Table, replaces: Iterable[str] = (), follows: Iterable[str] = ()) -> pa.Buffer:
    """The content of a part's file."""
    metadata = {key: value for key, value in (rows.schema.metadata or {}).items() if key not in _OWN_KEYS}
    names = {_REPLACES: sorted(replaces), _FOLLOWS: sorted(follows)}
    metadata |= {key: json.dumps(value).encode() for key, value in names.items() if value}
    metadata[_DIGEST] = _digest(rows, metadata).encode()
    sink = pa.BufferOutputStream()
    pq.write_table(rows.replace_schema_metadata(metadata), sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()


def decode_part(content: pa.Buffer, table: str, where: str, root: str, recorded: Columns = dict) -> Part:
    """Read a part's file, and verify what it holds.

    Args:
        content: The whole file.
        table: The table it belongs to.
        where: The file, for messages.
        root: The run folder, for messages.
        recorded: Gives the columns of the run's table as far as they are known, which a part that another program wrote
            back has to hold.

    Raises:
        InputError: It is of another schema version.
        DamagedTableError: It is damaged, or no part of this table.
    """
    try:
        rows = read_rows(content)
        metadata = rows.schema.metadata or {}
        version, digest = schema_version(rows.schema), metadata.get(_DIGEST)
        intact = digest is None or digest.decode() == _digest(rows, metadata)
        replaces, follows = (_names(metadata.get(key, b"[]")) for key in (_REPLACES, _FOLLOWS))
    except Exception as error:  # Arrow, Thrift, Unicode and JSON have errors of their own for a flipped bit
        raise DamagedTableError.of(where, f"cannot be read ({first_line(error)})", root) from error
    if not intact and version in (str(SCHEMA_VERSION), None):
        raise DamagedTableError.of(where, "is damaged: its rows are not those that were written", root)
    columns = recorded() if version is None and digest is None else {}
    if lacking := sorted({*columns} - {*rows.schema.names}):
        raise DamagedTableError.of(where, f"lacks the columns {named(lacking)}", root)
    if version != str(SCHEMA_VERSION) and not _is_rewritten(rows, table, version, digest):
        raise _other_version(where.rpartition("/")[0], version)
    try:
        return Part(as_written_here(rows, table, columns), replaces, follows)
    except ValueError as error:
        raise DamagedTableError.of(where, f"is no part of this table: {error}", root) from error


def named(names: Sequence[str], kind: str = "") -> str:
    """The first few of many names, and how many more of this kind there are."""
    more = f" and {len(names) - NAMED} more {kind}".rstrip() if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def read_rows(content: pa.Buffer, columns: list[str] | None = None) -> pa.Table:
    """The rows of a Parquet file, or some of their columns, each page verified where it has a checksum."""
    return pq.read_table(pa.BufferReader(content), columns=columns, page_checksum_verification=True)


def _is_rewritten(rows: pa.Table, table: str, version: str | None, digest: bytes | None) -> bool:
    """Whether another program, such as pandas, wrote the part back: without our metadata, with all columns."""
    expected = run_schemas({}).get(table)
    if version is not None or digest is not None or expected is None:
        return False
    of_the_metric = {name for name in expected.names if name.endswith("_val_accuracy")}
    return set(expected.names) - of_the_metric <= set(rows.schema.names)


def _other_version(where: str, version: str | None) -> InputError:
    given = f"tables of schema version {version}" if version else "tables without a schema version"
    rule = f"must be of version {SCHEMA_VERSION}: another version of toprung wrote this run and can read it"
    if version is None:
        rule += "; where another program wrote into it, `toprung repair RUN` keeps what can be read"
    return InputError.single(where, given, rule)


def _names(text: bytes) -> frozenset[str]:
    return frozenset(str(name) for name in json.loads(text))


def _digest(rows: pa.Table, metadata: dict[bytes, bytes]) -> str:
    """SHA-256 of the rows and of what the part says of others; the same before and after a file."""
    hashed = hashlib.sha256()
    for key in (_REPLACES, _FOLLOWS):
        hashed.update(key + b"=" + metadata.get(key, b"") + b"\n")
    for field in rows.schema:
        hashed.update(f"{field.name}\0{field.type}\0{rows.num_rows}\n".encode())
        for block in _column_bytes(rows[field.name].combine_chunks()):
            hashed.update(block)
    return hashed.hexdigest()


def _column_bytes(column: pa.Array) -> Iterator[bytes | memoryview]:
    yield np.packbits(column.is_valid().to_numpy(zero_copy_only=False)).tobytes()
    if pa.types.is_string(column.type):
        yield from _text_bytes(column.fill_null("") if column.null_count else column)
        return
    yield _numbers(column).tobytes()


def _text_bytes(texts: pa.Array) -> Iterator[bytes | memoryview]:
    """The lengths of texts in bytes, and the texts one after the other; without a Python object for each."""
    _, offsets, content = texts.buffers()
    if not len(texts) or offsets is None:
        return
    edges = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    yield np.diff(edges).astype(np.int64).tobytes()
    yield memoryview(content)[edges[0] : edges[-1]] if content is not None else b""


def _numbers(column: pa.Array) -> np.ndarray[Any, Any]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    known = pc.fill_null(column, 0) if column.null_count else column
    values: np.ndarray[Any, Any] = known.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        values = values + 0.0  # Parquet may take one zero for the other, and one NaN
        values[np.isnan(values)] = np.nan
    return values


_OWN_KEYS = frozenset({_REPLACES, _FOLLOWS, _DIGEST})
