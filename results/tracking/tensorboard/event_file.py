"""A file of TensorBoard's events: read as far as its records are whole, and continued behind them.

A record is the length of an event, 8 bytes, its check sum, 4 bytes, the event, and its check sum, as TFRecord has them.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from toprung.trainables.system.storage import Storage

HEAD, TAIL = struct.Struct("<QI"), struct.Struct("<I")


class EventFile:
    """The events of one run of TensorBoard. Half a record at the end, which a kill leaves, is written over.

    Locally new records are appended, as TensorBoard follows files that grow; an object store gets the file again.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage, self._name = storage, name
        self._content = storage.read(name).to_pybytes() if storage.exists(name) else b""
        self._whole_bytes = 0
        self.events = list(self._read())
        """What the file holds, without the version of the format."""

    def append(self, events: Sequence[Any]) -> None:
        """Write events behind those that are there. Raises OSError."""
        from tensorboardX.proto.event_pb2 import Event

        first = [] if self._whole_bytes else [Event(file_version="brain.Event:2")]
        records = b"".join(_record(event.SerializeToString()) for event in [*first, *events])
        if self._storage.is_local:
            self._append_locally(records)
        else:
            self._storage.put(self._name, self._content[: self._whole_bytes] + records)
            self._content = self._content[: self._whole_bytes] + records
        self._whole_bytes += len(records)
        self.events += events

    def _append_locally(self, records: bytes) -> None:
        path = Path(self._storage.base) / self._name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as stream:
            stream.truncate(self._whole_bytes)
            stream.seek(0, io.SEEK_END)
            stream.write(records)

    def _read(self) -> Iterator[Any]:
        from google.protobuf.message import DecodeError
        from tensorboardX.proto.event_pb2 import Event

        content = self._content
        while self._whole_bytes + HEAD.size <= len(content):
            length, _ = HEAD.unpack_from(content, self._whole_bytes)
            begin = self._whole_bytes + HEAD.size
            if begin + length + TAIL.size > len(content):
                return
            try:
                event = Event.FromString(content[begin : begin + length])
            except DecodeError:
                return
            if not event.HasField("file_version"):
                yield event
            self._whole_bytes = begin + length + TAIL.size


def _record(content: bytes) -> bytes:
    from tensorboardX.record_writer import masked_crc32c

    length = struct.pack("<Q", len(content))
    return length + TAIL.pack(masked_crc32c(length)) + content + TAIL.pack(masked_crc32c(content))
