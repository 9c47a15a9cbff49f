"""A trial's newest and best state on storage, each replaced whole, read by whichever worker goes on with it."""

from __future__ import annotations

import io
import json
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

_META = "__meta__"
NEWEST, BEST = ".npz", ".best.npz"


# What a local file is called until it is whole; one stays where a worker was killed.
PARTIAL = ".npz.partial"


@dataclass(frozen=True)
class Checkpoint:
    """State after `epoch` of a trial: arrays by name, and the metrics of every epoch so far.

    `identity` is what the state belongs to (configuration, seed, data); another identity's state is not taken.
    `best_epoch` is that of the best state saved so far; None in a file of an earlier version. `was_aside` is whether it
    was read from the best state's own file, so that what lies in the newest's place, if anything, is another state.
    """

    trial_id: str
    epoch: int
    identity: str
    history: tuple[Mapping[str, Any], ...]
    arrays: Mapping[str, np.ndarray]
    best_epoch: int | None = None
    was_aside: bool = False


class CheckpointStore:
    """Checkpoints under `root`, a local folder or a URI that `pyarrow.fs` reads (s3://, gs://).

    `save` returns at once and writes on one background thread; a newer state of the same trial replaces the
    older one in a single rename or put, so that a reader never meets half a file. The best state has a file of its
    own only while the newest is another.
    """

    def __init__(self, root: str) -> None:
        from pyarrow import fs

        location = root if "://" in root else str(Path(root).absolute())
        self._fs, self._root = fs.FileSystem.from_uri(location)
        self._is_local = isinstance(self._fs, fs.LocalFileSystem)
        # What is being written goes first, so that it does not take the place of what has just been deleted.
        self._kinds = (PARTIAL, NEWEST, BEST) if self._is_local else (NEWEST, BEST)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._last: Future[None] | None = None
        self._last_of = ""

    def save(self, checkpoint: Checkpoint, newest_was_best: bool = False, is_best: bool = False) -> None:
        """Write in the background; settles only the write before it, so that at most one state is in flight.

        With `newest_was_best` the state that was the newest until now is put aside as the trial's best; with
        `is_best` one that was put aside is deleted.
        """
        self.settle()
        self._last = self._writer.submit(self._write, checkpoint, newest_was_best, is_best)
        self._last_of = checkpoint.trial_id

    def wait(self) -> None:
        """Return when all is written; raises OSError if the last write failed."""
        if self._last is not None:
            last, self._last = self._last, None
            last.result()

    def settle(self) -> bool:
        """As `wait`, but a write that failed is told in a line and fails no trial; returns whether none did."""
        try:
            self.wait()
            return True
        except Exception as error:  # whatever the storage raises
            reason = " ".join(str(error).split())
            print(
                f"note: the last state of {self._last_of} was not saved ({type(error).__name__}: {reason})",
                flush=True,
            )
            return False

    def settle_others(self, trial_id: str) -> None:
        """As `settle` where the write under way, or done last, is of another trial than this one."""
        if self._last_of != trial_id:
            self.settle()

    def load(self, trial_id: str, identity: str) -> Checkpoint | None:
        """The trial's newest state, or None when there is none of this identity that can be read.

        One that is being written here is waited for.
        """
        if self._last_of == trial_id:
            self.settle()
        return self._read(trial_id, NEWEST, identity) or self._read(trial_id, BEST, identity)

    def load_best(self, trial_id: str, identity: str) -> Checkpoint | None:
        """The best of the states that were saved, which may be the newest; None as for `load`."""
        return self._read(trial_id, BEST, identity) or self._read(trial_id, NEWEST, identity)

    def discard(self, trial_id: str) -> None:
        """Delete the trial's state in the background; one that has none is passed over."""
        self._writer.submit(self._delete, trial_id)

    def keep_only(self, trial_ids: Set[str]) -> None:
        """Delete every other trial's state: one may have been written just as its trial was stopped."""
        for trial_id in self._bytes_of():
            if trial_id not in trial_ids:
                self._delete(trial_id)

    def drop(self, trial_ids: Set[str]) -> None:
        """Delete the states of these trials, of those that have any."""
        for trial_id in self._bytes_of().keys() & trial_ids:
            self._delete(trial_id)

    def keep_within(self, most_bytes: int, may_go: Sequence[str]) -> None:
        """Delete in the background states of `may_go`, the first first, until all states take `most_bytes` or less."""
        self._writer.submit(self._shrink, most_bytes, tuple(may_go))

    def _shrink(self, most_bytes: int, may_go: Sequence[str]) -> None:
        sizes = self._bytes_of()
        held = sum(sizes.values())
        for trial_id in may_go:
            if held <= most_bytes:
                return
            if trial_id in sizes:
                self._delete(trial_id)
                held -= sizes[trial_id]

    def _bytes_of(self) -> dict[str, int]:
        from pyarrow import fs

        sizes: dict[str, int] = {}
        for info in self._fs.get_file_info(fs.FileSelector(self._root, allow_not_found=True)):
            trial_id = info.base_name.partition(".")[0]
            sizes[trial_id] = sizes.get(trial_id, 0) + (info.size or 0)
        return sizes

    def _delete(self, trial_id: str, *kinds: str) -> None:
        for kind in kinds or self._kinds:
            with suppress(FileNotFoundError):
                self._fs.delete_file(self._path(trial_id, kind))

    def _path(self, trial_id: str, kind: str) -> str:
        return f"{self._root}/{trial_id}{kind}"

    def _read(self, trial_id: str, kind: str, identity: str) -> Checkpoint | None:
        try:
            with self._fs.open_input_file(self._path(trial_id, kind)) as file:
                content = file.read()
        except FileNotFoundError:
            return None
        try:
            found = _decode(content, trial_id, identity)
        except MemoryError:
            raise
        except (
            Exception
        ):  # damaged, in one of zip's many words: the trial goes back further and loses only time
            return None
        return found and replace(found, was_aside=kind == BEST)

    def _write(self, checkpoint: Checkpoint, newest_was_best: bool, is_best: bool) -> None:
        self._fs.create_dir(self._root, recursive=True)
        path = self._path(checkpoint.trial_id, NEWEST)
        if newest_was_best:
            with suppress(FileNotFoundError):
                self._fs.move(path, self._path(checkpoint.trial_id, BEST))
        target = self._path(checkpoint.trial_id, PARTIAL) if self._is_local else path
        try:
            with self._fs.open_output_stream(target) as file:
                file.write(_encode(checkpoint))
        except OSError:
            if self._is_local:
                self._delete(checkpoint.trial_id, PARTIAL)  # it would keep a full disk full
            raise
        if self._is_local:
            with suppress(FileNotFoundError):  # discarded while it was written: its trial has ended
                Path(target).replace(path)
        if is_best:
            self._delete(checkpoint.trial_id, BEST)


def _encode(checkpoint: Checkpoint) -> bytes:
    meta = {
        "epoch": checkpoint.epoch,
        "identity": checkpoint.identity,
        "history": [dict(row) for row in checkpoint.history],
        "best_epoch": checkpoint.best_epoch,
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
    history = tuple(meta["history"])
    return Checkpoint(trial_id, meta["epoch"], identity, history, arrays, meta.get("best_epoch"))
