"""A trial's newest and best state on storage, each replaced whole, read by the worker that continues the trial."""

from __future__ import annotations

import errno
import io
import json
import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from toprung.spaces.errors import first_line
from toprung.trainables.system.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

NEWEST, BEST = ".npz", ".best.npz"
PARTIAL = ".npz.partial"  # a local file until it is whole; one stays where a worker was killed
_META = "__meta__"
MAX_LOOKING, MAX_LOOKING_PAUSE_SECS = 0.05, 1.0  # of a core, for how much all states take: thousands are felt
_log = logging.getLogger("toprung")


@dataclass(frozen=True)
class Checkpoint:
    """State after `epoch` of a trial: arrays by name, and the metrics of every epoch so far.

    `identity` is what the state belongs to (configuration, seed, data, code); another identity's state is not taken.
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


class UnusableStateError(Exception):
    """A saved state is there and cannot be continued from; the message says why."""


class CheckpointStore:
    """Checkpoints under `root`, a local folder or a URI.

    `save` returns at once and writes on one background thread; a newer state of the same trial replaces the
    older one in a single rename or put, so that a reader never meets half a file. The best state has a file of its
    own only while the newest is another.
    """

    def __init__(self, root: str) -> None:
        self._storage = Storage.at(root)
        # The partial file is deleted first, so that it does not take the place of what has just been deleted.
        self._suffixes = (PARTIAL, NEWEST, BEST) if self._storage.is_local else (NEWEST, BEST)
        run_folder = Path(self._storage.base).parent
        self._run_folder = run_folder if self._storage.is_local and run_folder.exists() else None
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._last_write: Future[None] | None = None
        self._last_trial = ""
        self._quota: tuple[int, tuple[str, ...]] = (0, ())
        self._shrink_waits, self._look_again_secs = False, 0.0
        self._unsaved: list[str] = []
        self._told: set[tuple[str, object]] = set()

    def save(self, checkpoint: Checkpoint, newest_was_best: bool = False, is_best: bool = False) -> None:
        """Write in the background; settles only the write before it, so that at most one state is in flight.

        With `newest_was_best` the state that was the newest until now is put aside as the trial's best; with
        `is_best` one that was put aside is deleted.
        """
        self.settle()
        self._last_write = self._writer.submit(self._write, checkpoint, newest_was_best, is_best)
        self._last_trial = checkpoint.trial_id

    def wait(self) -> None:
        """Return when all is written; raises OSError if the last write failed."""
        if self._last_write is not None:
            last, self._last_write = self._last_write, None
            last.result()

    def settle(self) -> bool:
        """As `wait`, but a write that failed is told by `take_unsaved` and fails no trial; returns whether none did."""
        try:
            self.wait()
            return True
        except Exception as error:  # whatever the storage raises
            kind = type(error).__name__, getattr(error, "errno", None)
            if kind not in self._told:
                self._told.add(kind)
                self._unsaved.append(
                    f"the last state of {self._last_trial} was not saved ({kind[0]}: {first_line(error)}); "
                    "others that fail so are not named"
                )
            return False

    def take_unsaved(self) -> list[str]:
        """Each kind of write that has failed since the last call, a line the first time that it does."""
        told, self._unsaved = self._unsaved, []
        return told

    def settle_others(self, trial_id: str) -> None:
        """As `settle` where the write under way, or done last, is of another trial than this one."""
        if self._last_trial != trial_id:
            self.settle()

    def load(self, trial_id: str, identity: str) -> Checkpoint | None:
        """The trial's newest state, or None when there is none of this identity that can be read.

        One that is being written here is waited for.
        """
        return self._first(trial_id, identity, (NEWEST, BEST))

    def read(self, trial_id: str, suffix: str, identity: str) -> Checkpoint | None:
        """The state in one file of the trial, NEWEST or BEST; None without this file.

        One that is being written here is waited for.

        Raises:
            UnusableStateError: It cannot be read, is damaged, or belongs to something else.
        """
        if self._last_trial == trial_id:
            self.settle()
        try:
            content = self._storage.read(trial_id + suffix)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnusableStateError(f"cannot be read ({first_line(error)})") from error
        try:
            found = _decode(content, trial_id)
        except MemoryError:
            raise
        except Exception as error:  # damaged, for which zip has many errors
            raise UnusableStateError(f"is damaged ({first_line(error)})") from error
        if found.identity != identity:
            raise UnusableStateError("is of another configuration, code or set of images")
        return replace(found, was_aside=suffix == BEST)

    def discard(self, trial_id: str) -> None:
        """Delete the trial's state in the background; nothing is done where it has none."""
        self._writer.submit(self._delete, trial_id)

    def keep_only(self, trial_ids: Set[str]) -> None:
        """Delete every other trial's state: one may have been written just as its trial was stopped."""
        self._delete_each(self._sizes().keys() - trial_ids)

    def drop(self, trial_ids: Set[str]) -> None:
        """Delete the states of these trials, of those that have any."""
        self._delete_each(self._sizes().keys() & trial_ids)

    def keep_within(self, max_bytes: int, may_go: Sequence[str]) -> None:
        """Delete in the background states of `may_go`, the first first, until all states take `max_bytes` or less.

        Calls that follow closely are one, with what the last of them says: looking at all files takes time.
        """
        self._quota = max_bytes, tuple(may_go)
        if not self._shrink_waits:
            self._shrink_waits = True
            self._writer.submit(self._shrink)

    def _shrink(self) -> None:
        time.sleep(min(MAX_LOOKING_PAUSE_SECS, max(0.0, self._look_again_secs - time.monotonic())))
        self._shrink_waits = False  # a call from now on has to look again
        max_bytes, may_go = self._quota
        began_secs = time.thread_time()
        sizes = self._sizes()
        self._look_again_secs = time.monotonic() + (time.thread_time() - began_secs) / MAX_LOOKING
        total = sum(sizes.values())
        for trial_id in may_go:
            if total <= max_bytes:
                return
            if trial_id in sizes:
                self._delete(trial_id)
                total -= sizes[trial_id]

    def _sizes(self) -> dict[str, int]:
        """By trial id, the bytes of all its files."""
        sizes: dict[str, int] = {}
        for entry in self._storage.entries():
            trial_id = entry.name.partition(".")[0]
            sizes[trial_id] = sizes.get(trial_id, 0) + entry.size
        return sizes

    def _delete_each(self, trial_ids: Set[str]) -> None:
        """Delete the states of these trials; what cannot be deleted stays, with a line, and ends no search."""
        for trial_id in sorted(trial_ids):
            try:
                self._delete(trial_id)
            except OSError as error:
                _log.warning("the saved state of %s is not deleted (%s)", trial_id, first_line(error))

    def _delete(self, trial_id: str) -> None:
        for suffix in self._suffixes:
            self._storage.delete(trial_id + suffix)

    def _first(self, trial_id: str, identity: str, suffixes: Sequence[str]) -> Checkpoint | None:
        for suffix in suffixes:
            with suppress(UnusableStateError):
                if found := self.read(trial_id, suffix, identity):
                    return found
        return None

    def _write(self, checkpoint: Checkpoint, newest_was_best: bool, is_best: bool) -> None:
        newest, best, partial = (checkpoint.trial_id + suffix for suffix in (NEWEST, BEST, PARTIAL))
        if self._run_folder is not None and not self._run_folder.exists():
            # A write would make it anew, in the way of the one that was moved.
            raise FileNotFoundError(
                errno.ENOENT, "the run folder was moved or removed", str(self._run_folder)
            )
        if newest_was_best:
            with suppress(FileNotFoundError):
                self._storage.move(newest, best)
        # A trial that has ended is discarded while it is written: its partial file is gone then, and nothing is put.
        self._storage.put(newest, _encode(checkpoint), partial)
        if is_best:
            self._storage.delete(best)


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


def _decode(content: pa.Buffer, trial_id: str) -> Checkpoint:
    with np.load(pa.BufferReader(content), allow_pickle=False) as file:
        meta = json.loads(file[_META].tobytes())
        arrays = {name: file[name] for name in file.files if name != _META}
    history = tuple(meta["history"])
    return Checkpoint(trial_id, meta["epoch"], meta["identity"], history, arrays, meta.get("best_epoch"))
