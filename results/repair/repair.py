"""Repairs a run's tables: keeps the rows that can be read and belong together, and says what is lost."""

from __future__ import annotations

import uuid
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from toprung.results.repair.found_table import FoundTable, find_table
from toprung.results.repair.lost_values import fill_best_values, fill_configurations, fill_seeds
from toprung.results.repair.rebuilt_rows import main_metric, rebuilt_epochs, rebuilt_proposal
from toprung.results.tables.integrity import run_of
from toprung.results.tables.parts import counter_of, joined_rows, part_name, part_names, put_part
from toprung.results.tables.recorded_columns import empty_rows, recorded_columns
from toprung.results.tables.repair_log import log_repair
from toprung.results.tables.rows import Row, rows_table
from toprung.results.tables.run_identity import IDENTITY_FILE, commonest_part_id, record_id, recorded_id
from toprung.results.tables.run_lock import RunLock
from toprung.results.tables.schema import CONFIG, EPOCHS, PROPOSALS, TABLES, TRIALS, run_schemas
from toprung.spaces.errors import InputError
from toprung.trainables.system.storage import Root, Storage

if TYPE_CHECKING:
    from collections.abc import Iterable

DAMAGED = "damaged"
"""The folder of a run to which damaged files are moved."""


@dataclass(frozen=True)
class Repaired:
    """A repair: the rows of each table that are there now, and a line for each loss."""

    rows: dict[str, int]
    lost: tuple[str, ...]


def repair_run(root: Root) -> Repaired:
    """Repair the tables of a run; what is damaged is moved to RUN/damaged.

    Lost proposals, and the best and the last epoch of trials that have ended, are rebuilt from the rows of `trials`.
    Rows of trials whose proposals are lost are left out, and so are the epochs behind a gap of trials that have not
    ended. An intact run stays as it is.

    Raises:
        InputError: There are no tables, or another search writes the run.
    """
    storage = Storage.at(root)
    others = [name for name in storage.folders("") if name not in (*TABLES, DAMAGED)]
    names = [*TABLES, *(name for name in others if part_names(storage, name))]
    if not any(storage.obstacle(name) or part_names(storage, name) for name in names):
        raise InputError.single("RUN", f"{storage.root} holds no tables", "must be a run folder")
    with RunLock(root):
        objective = _objective(storage)
        run_id = commonest_part_id(storage)
        tables = {name: find_table(storage, name, objective, run_id) for name in names}
        _refuse_other_version(list(tables.values()))
        without_epochs = _made_consistent(*(tables[name] for name in (PROPOSALS, EPOCHS, TRIALS)))
        for table in tables.values():
            table.keep_sound()
        changed = [table for table in tables.values() if table.is_changed]
        lost = [line for table in changed for line in table.lost]
        if run_id and recorded_id(storage) not in (None, run_id):
            record_id(storage, run_id)
            lost.append(f"{IDENTITY_FILE}: was that of another run")
        if lost:
            log_repair(storage, lost, without_epochs)
        for table in changed:
            _write(storage, table)
    rows = {name: 0 if table.rows is None else table.rows.num_rows for name, table in tables.items()}
    return Repaired(rows, tuple(lost))


def _objective(storage: Storage) -> str | None:
    """The metric of the main objective, by the columns of `trials` as recorded or in a file of it."""
    if recorded := main_metric(recorded_columns(storage, TRIALS)):
        return recorded
    if storage.obstacle(TRIALS):
        return None
    for file in part_names(storage, TRIALS):
        with suppress(Exception):  # whatever Arrow raises at a damaged footer
            return main_metric(pq.read_schema(pa.BufferReader(storage.read(f"{TRIALS}/{file}"))).names)
    return None


def _refuse_other_version(tables: list[FoundTable]) -> None:
    """Raise the error of a run that another version wrote; one such part among others has a flipped bit."""
    other = [table.other_version for table in tables if table.other_version is not None]
    if other and all(len(table.damaged) == len(table.files) for table in tables):
        raise other[0]


def _made_consistent(proposals: FoundTable, epochs: FoundTable, trials: FoundTable) -> set[str]:
    """Make the tables belong together; returns the ended trials of which epochs are lost."""
    three = (proposals, epochs, trials)
    run = run_of(table.runs for table in three)
    for table in three:
        table.keep(np.array([name in (None, run) for name in table.runs], bool), "of another run")
    _fill_columns(*three)
    for table in three:
        table.keep_sound()
    _rebuild_proposals(proposals, trials)
    known = set(proposals.column("trial_id"))
    for table in (epochs, trials):
        wanted = np.array([name in known for name in table.column("trial_id")], bool)
        table.keep(wanted, "of trials whose proposals are lost")
    ended = dict(zip(trials.column("trial_id"), trials.column("last_epoch"), strict=True))
    unbroken = {name: _unbroken(numbers) for name, numbers in _epochs_by_trial(epochs).items()}
    pairs = zip(epochs.column("trial_id"), epochs.column("epoch"), strict=True)
    wanted = np.array([name in ended or epoch <= unbroken[name] for name, epoch in pairs], bool)
    epochs.keep(wanted, "behind a gap in trials that have not ended")
    _rebuild_epochs(epochs, trials)
    reached = _epochs_by_trial(epochs)
    return {name for name, last in ended.items() if len(reached.get(name, ())) < (last or 0)}


def _fill_columns(proposals: FoundTable, epochs: FoundTable, trials: FoundTable) -> None:
    """Fill lost columns of one table with what the others hold of the same trials."""
    fill_seeds(proposals, trials)
    for one, other in ((proposals, trials), (trials, proposals)):
        one.fill("data_fingerprint", other.by_trial("data_fingerprint"))
    fill_configurations(proposals, trials)
    numbers = {name: max(known) for name, known in _epochs_by_trial(epochs).items()}
    trials.fill("last_epoch", numbers)
    fill_best_values(trials, epochs)


def _epochs_by_trial(epochs: FoundTable) -> dict[str, list[int]]:
    by_trial: defaultdict[str, list[int]] = defaultdict(list)
    for name, epoch in zip(epochs.column("trial_id"), epochs.column("epoch"), strict=True):
        if epoch is not None:
            by_trial[name].append(epoch)
    return by_trial


def _rebuild_proposals(proposals: FoundTable, trials: FoundTable) -> None:
    """Add proposals that are lost, from the rows of the trials that have ended."""
    known = set(proposals.column("trial_id"))
    ended = [] if trials.rows is None else trials.rows.to_pylist()
    rows = [
        rebuilt_proposal(row) for row in ended if row["trial_id"] not in known and row["seed"] is not None
    ]
    if not rows or trials.rows is None:
        return
    kinds = [field for field in trials.rows.schema if field.name.startswith(CONFIG)]
    _add(proposals, rows, pa.schema([*run_schemas({})[PROPOSALS], *kinds]))
    proposals.lost.append(
        f"{PROPOSALS}: {len(rows)} rows, rebuilt from {TRIALS} without why and when they were proposed"
    )
    if proposals.rows is not None:
        proposals.rows = proposals.rows.sort_by("number")


def _rebuild_epochs(epochs: FoundTable, trials: FoundTable) -> None:
    """Add the best and the last epoch of the ended trials that have lost them."""
    if trials.rows is None:
        return
    known = set(zip(epochs.column("trial_id"), epochs.column("epoch"), strict=True))
    arrived = max(epochs.column("arrival_index"), default=-1)
    rows = rebuilt_epochs(trials.rows, known, arrived + 1)
    if not rows:
        return
    standard = run_schemas({})[EPOCHS]
    measured = [pa.field(name, pa.float64()) for name in rows[0] if name not in standard.names]
    _add(epochs, rows, pa.schema([*standard, *measured]))
    count = len({row["trial_id"] for row in rows})
    epochs.lost.append(
        f"{EPOCHS}: all of {count} trials that have ended but {len(rows)} rows of best and last values, "
        f"rebuilt from {TRIALS}"
    )


def _add(table: FoundTable, rows: list[Row], schema: pa.Schema) -> None:
    added = rows_table(rows, schema)
    table.rows = joined_rows([added] if table.rows is None else [table.rows, added])


def _unbroken(epochs: Iterable[int]) -> int:
    """The last of the epochs 1, 2, 3, ... before the first that is not there."""
    there = set(epochs)
    last = 0
    while last + 1 in there:
        last += 1
    return last


def _write(storage: Storage, table: FoundTable) -> None:
    """Put the kept rows in the place of all files; what is damaged is kept aside."""
    if table.obstacle:
        storage.set_aside(table.name, f"{DAMAGED}/{table.name}-{uuid.uuid4().hex[:8]}")
    for file in table.damaged:
        _keep_aside(storage, f"{table.name}/{file}")
    rows = table.rows
    if table.name in TABLES and (rows is None or rows.num_rows == 0):
        # What is left of a damaged part may lack columns that readers ask for.
        rows = empty_rows(storage, table.name)
    if rows is not None:
        counter = max((counter_of(file) for file in table.files), default=-1) + 1
        put_part(storage, table.name, part_name(counter), joined_rows([rows]), replaces=table.files)
    for file in table.files:
        storage.delete(f"{table.name}/{file}")


def _keep_aside(storage: Storage, file: str) -> None:
    """Copy a damaged file, whose rows count until the new part is put; what is no file has none, and is moved."""
    try:
        content: Any = storage.read(file)
    except OSError:
        storage.set_aside(file, f"{DAMAGED}/{file}")
        return
    storage.put(f"{DAMAGED}/{file}", content)
