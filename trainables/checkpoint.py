"""A trial's newest state on storage: one file a trial, replaced whole, read by whichever worker goes on with it."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

_META = "__meta__"


@dataclass(frozen=True)
class Checkpoint:
    """State after `epoch` of a trial: arrays by name, and the metrics of every epoch so far.

    `identity` is what the state belongs to (configuration, seed, data); another identity's state is not taken.
    """

    trial_id: str
    epoch: int
    identity: str
    history: tuple[Mapping[str, Any], ...]
    arrays: Mapping[str, np.ndarray]


class CheckpointStore:
    """Checkpoints under `root`, a local folder or a URI that `pyarrow.fs` reads (s3://, gs://).

    `save` returns at once and writes on one background thread; a newer state of the same trial replaces the
    older one in a single rename or put, so that a reader never meets half a file.
    """

    def __init__(self, root: str) -> None:
        from pyarrow import fs

        location = root if "://" in root else str(Path(root).absolute())
        self._fs, self._root = fs.FileSystem.from_uri(location)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._last: Future[None] | None = None

    def save(self, checkpoint: Checkpoint) -> None:
        """Write in the background; waits only for the write before it, so that at most one state is in flight."""
        self.wait()
        self._last = self._writer.submit(self._write, checkpoint)

    def wait(self) -> None:
        """Return when all is written; raises OSError if the last write failed."""
        if self._last is not None:
            last, self._last = self._last, None
            last.result()

    def load(self, trial_id: str, identity: str) -> Checkpoint | None:
        """The trial's newest state, or None when there is none of this identity that can be read."""
        try:
            with self._fs.open_input_file(self._path(trial_id)) as file:
                return _decode(file.read(), trial_id, identity)
        except FileNotFoundError:
            return None
        except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError):
            return None  # damaged: the trial starts again, which costs time and loses nothing

    def discard(self, trial_id: str) -> None:
        """Delete the trial's state in the background; one that has none is passed over."""
        self._writer.submit(self._delete, trial_id)

    def keep_only(self, trial_ids: Set[str]) -> None:
        """Delete every other trial's state: one may have been written just as its trial was stopped."""
        from pyarrow import fs

        for info in self._fs.get_file_info(fs.FileSelector(self._root, allow_not_found=True)):
            if info.base_name.partition(".")[0] not in trial_ids:
                self._delete(info.base_name.partition(".")[0])

    def _delete(self, trial_id: str) -> None:
        with suppress(FileNotFoundError):
            self._fs.delete_file(self._path(trial_id))

    def _path(self, trial_id: str) -> str:
        return f"{self._root}/{trial_id}.npz"

    def _write(self, checkpoint: Checkpoint) -> None:
        from pyarrow import fs

        self._fs.create_dir(self._root, recursive=True)
        local = isinstance(self._fs, fs.LocalFileSystem)
        path = self._path(checkpoint.trial_id)
        target = f"{path}.partial" if local else path
        with self._fs.open_output_stream(target) as file:
            file.write(_encode(checkpoint))
        if local:
            Path(target).replace(path)


def _encode(checkpoint: Checkpoint) -> bytes:
    meta = {
        "epoch": checkpoint.epoch,
        "identity": checkpoint.identity,
        "history": [dict(row) for row in checkpoint.history],
    }
    buffer = io.BytesIO()
    packed = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    np.savez(buffer, **{_META: packed}, **checkpoint.arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _decode(content: bytes, trial_id: str, identity: str) -> Checkpoint | None:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        meta = json.loads(file[_META].tobytes())
        if meta["identity"] != identity:
            return None
        arrays = {name: file[name] for name in file.files if name != _META}
    return Checkpoint(trial_id, meta["epoch"], identity, tuple(meta["history"]), arrays)
