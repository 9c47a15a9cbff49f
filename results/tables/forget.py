"""Takes ended trials out of a run's tables, so that the search trains them again; what they had is kept aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from toprung.results.tables.parts import counter_of, part_name, part_names, put_part, read_parts
from toprung.results.tables.schema import EPOCHS, TRIALS

if TYPE_CHECKING:
    from collections.abc import Collection

    from toprung.trainables.system.storage import Storage

EARLIER_ATTEMPTS = "earlier_attempts"
"""The table of the rows that trials had in `trials` before they were trained again."""


def forget_trials(storage: Storage, trial_ids: Collection[str]) -> None:
    """Move the trials' rows of `trials` to EARLIER_ATTEMPTS, and remove their epochs; the proposals stay.

    The caller holds the run's lock. Killed at any point, a second call does what is left.
    """
    ended = read_parts(storage, TRIALS)
    if ended is None or not trial_ids:
        return
    is_forgotten = _is_one_of(ended, trial_ids)
    names = part_names(storage, EARLIER_ATTEMPTS)
    counter = 1 + max(map(counter_of, names), default=-1)
    put_part(storage, EARLIER_ATTEMPTS, part_name(counter), ended.filter(is_forgotten))
    # The trials first: one that ended has all its epochs, at any moment.
    _rewrite(storage, TRIALS, ended.filter(pc.invert(is_forgotten)))
    epochs = read_parts(storage, EPOCHS)
    if epochs is not None:
        _rewrite(storage, EPOCHS, epochs.filter(pc.invert(_is_one_of(epochs, trial_ids))))


def _is_one_of(rows: pa.Table, trial_ids: Collection[str]) -> pa.Array:
    return pc.is_in(rows["trial_id"], pa.array(sorted(trial_ids), pa.string()))


def _rewrite(storage: Storage, table: str, rows: pa.Table) -> None:
    names = part_names(storage, table)
    put_part(storage, table, part_name(max(map(counter_of, names)) + 1), rows, replaces=names)
    for name in names:
        storage.delete(f"{table}/{name}")
