"""Repairs a run's tables: keeps the rows that can be read and belong together, and says what is lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from toprung.results.tables.integrity import broken_rules, run_of
from toprung.results.tables.part_file import DamagedTableError, Part
from toprung.results.tables.parts import (
    counter_of,
    joined_rows,
    missing_from,
    part_name,
    part_names,
    put_part,
    read_part,
    replaced_by,
)
from toprung.results.tables.repair_log import log_repair
from toprung.results.tables.rows import Row, rows_table
from toprung.results.tables.run_lock import RunLock
from toprung.results.tables.salvage import salvaged
from toprung.results.tables.schema import (
    CONFIG,
    EPOCHS,
    OVERFLOW,
    PROPOSALS,
    RUN,
    TABLES,
    TRIALS,
    run_schemas,
)
from toprung.spaces.errors import InputError
from toprung.trainables.system.storage import Root, Storage

if TYPE_CHECKING:
    from collections.abc import Iterable

DAMAGED = "damaged"
"""The folder of a run to which damaged files are moved."""

REBUILT = "rebuilt from the table trials by toprung repair"


@dataclass
class FoundTable:
    """What was found of one table.

    Attributes:
        name: The table.
        files: The names of all its files.
        damaged: Those that could not be read as they were written.
        rows: The rows that are kept; None without any file that could be read.
        lost: One line for each loss.
        other_version: The error of a part that says it is of another version of the schema, if one does.
    """

    name: str
    files: tuple[str, ...]
    damaged: list[str] = field(default_factory=list)
    rows: pa.Table | None = None
    lost: list[str] = field(default_factory=list)
    other_version: InputError | None = None

    @property
    def is_changed(self) -> bool:
        """Whether the table is to be written anew."""
        return bool(self.lost or self.damaged)

    def keep(self, wanted: np.ndarray[Any, Any], why: str) -> None:
        """Keep the rows of a mask, and say how many others there were."""
        if self.rows is not None and not wanted.all():
            self.lost.append(f"{self.name}: {int((~wanted).sum())} rows {why}")
            self.rows = self.rows.filter(pa.array(wanted))

    def column(self, name: str) -> list[Any]:
        """The values of a column."""
        return [] if self.rows is None else self.rows[name].to_pylist()


@dataclass(frozen=True)
class Repaired:
    """A repair: the rows of each table that are there now, and a line for each loss."""

    rows: dict[str, int]
    lost: tuple[str, ...]


def repair_run(root: Root) -> Repaired:
    """Repair the tables of a run; damaged files are moved to RUN/damaged.

    Lost proposals are rebuilt from the rows of `trials`. Rows of trials whose proposals are lost are left out, and so
    are the epochs behind a gap of trials that have not ended. An intact run stays as it is.

    Raises:
        InputError: There are no tables, or another search writes the run.
    """
    storage = Storage.at(root)
    others = [name for name in storage.folders("") if name not in (*TABLES, DAMAGED)]
    names = [*TABLES, *(name for name in others if part_names(storage, name))]
    if not any(part_names(storage, name) for name in names):
        raise InputError.single("RUN", f"{storage.root} holds no tables", "must be a run folder")
    with RunLock(root):
        tables = {name: _found(storage, name) for name in names}
        _refuse_other_version(list(tables.values()))
        without_epochs = _made_consistent(*(tables[name] for name in (PROPOSALS, EPOCHS, TRIALS)))
        changed = [table for table in tables.values() if table.is_changed]
        lost = [line for table in changed for line in table.lost]
        if changed:
            log_repair(storage, lost, without_epochs)
        for table in changed:
            _write(storage, table)
    rows = {name: 0 if table.rows is None else table.rows.num_rows for name, table in tables.items()}
    return Repaired(rows, tuple(lost))


def _refuse_other_version(tables: list[FoundTable]) -> None:
    """Raise the error of a run that another version wrote; one such part among others has a flipped bit."""
    other = [table.other_version for table in tables if table.other_version is not None]
    if other and all(len(table.damaged) == len(table.files) for table in tables):
        raise other[0]


def _found(storage: Storage, name: str) -> FoundTable:
    table = FoundTable(name, part_names(storage, name))
    parts: dict[str, Part] = {}
    for file in table.files:
        try:
            parts[file] = read_part(storage, name, file)
        except InputError as error:
            if not isinstance(error, DamagedTableError):
                table.other_version = error
            table.damaged.append(file)
            rows, lost = salvaged(storage.read(f"{name}/{file}"), name)
            table.lost.append(f"{name}/{file}: {lost or error.problems[0].given}")
            if rows is not None:
                parts[file] = Part(rows)
    table.lost += [f"{name}/{file}: is missing" for file in missing_from(parts) if file not in table.damaged]
    replaced = replaced_by(parts.values())
    counting = [part.rows for file, part in parts.items() if file not in replaced]
    if counting:
        table.rows = _joined(table, counting)
    elif not table.files:
        table.lost.append(f"{name}: no file is there")
    _drop_broken(table)
    return table


def _joined(table: FoundTable, parts: list[pa.Table]) -> pa.Table:
    """All rows of the parts that can be joined with the first."""
    rows = parts[0]
    for part in parts[1:]:
        try:
            rows = joined_rows([rows, part])
        except pa.ArrowException:
            table.lost.append(f"{table.name}: {part.num_rows} rows whose columns have other types")
    return rows


def _drop_broken(table: FoundTable) -> None:
    while table.rows is not None:
        broken = next(broken_rules(table.name, table.rows), None)
        if broken is None:
            return
        table.keep(~broken[1], broken[0])


def _made_consistent(proposals: FoundTable, epochs: FoundTable, trials: FoundTable) -> set[str]:
    """Make the tables belong together; returns the ended trials of which epochs are lost."""
    run = run_of(_runs(table) for table in (proposals, epochs, trials))
    for table in (proposals, epochs, trials):
        table.keep(np.array([name in (None, run) for name in _runs(table)], bool), "of another run")
    _rebuild(proposals, trials)
    known = set(proposals.column("trial_id"))
    for table in (epochs, trials):
        wanted = np.array([name in known for name in table.column("trial_id")], bool)
        table.keep(wanted, "of trials whose proposals are lost")
    ended = dict(zip(trials.column("trial_id"), trials.column("last_epoch"), strict=True))
    by_trial: dict[str, list[int]] = {}
    for name, epoch in zip(epochs.column("trial_id"), epochs.column("epoch"), strict=True):
        by_trial.setdefault(name, []).append(epoch)
    unbroken = {name: _unbroken(numbers) for name, numbers in by_trial.items()}
    pairs = zip(epochs.column("trial_id"), epochs.column("epoch"), strict=True)
    wanted = np.array([name in ended or epoch <= unbroken[name] for name, epoch in pairs], bool)
    epochs.keep(wanted, "behind a gap in trials that have not ended")
    return {name for name, last in ended.items() if len(by_trial.get(name, ())) < (last or 0)}


def _runs(table: FoundTable) -> list[Any]:
    """The run that each row names; None for one of an earlier version, which names none."""
    if table.rows is None or RUN in table.rows.schema.names:
        return table.column(RUN)
    return [None] * int(table.rows.num_rows)


def _rebuild(proposals: FoundTable, trials: FoundTable) -> None:
    """Add proposals that are lost, from the rows of the trials that have ended."""
    if trials.rows is None:
        return
    known = set(proposals.column("trial_id"))
    lost = pc.invert(pc.is_in(trials.rows["trial_id"], pa.array(sorted(known), pa.string())))
    rows = [_proposal(row) for row in trials.rows.filter(lost).to_pylist() if row["seed"] is not None]
    if not rows:
        return
    kinds = [field for field in trials.rows.schema if field.name.startswith(CONFIG)]
    schema = pa.schema([*run_schemas({})[PROPOSALS], *kinds])
    rebuilt = rows_table(rows, schema)
    proposals.lost.append(f"{PROPOSALS}: {len(rows)} rows, rebuilt from {TRIALS}")
    kept = [rebuilt] if proposals.rows is None else [proposals.rows, rebuilt]
    proposals.rows = joined_rows(kept).sort_by("number")


def _proposal(trial: Row) -> Row:
    names = {"run", "trial_id", "number", "seed", "data_fingerprint", OVERFLOW}
    row = {name: value for name, value in trial.items() if name in names or name.startswith(CONFIG)}
    return {**row, "proposal_reason": REBUILT, "proposed_at": trial.get("started_at")}


def _unbroken(epochs: Iterable[int]) -> int:
    """The last of the epochs 1, 2, 3, ... before the first that is not there."""
    there = set(epochs)
    last = 0
    while last + 1 in there:
        last += 1
    return last


def _write(storage: Storage, table: FoundTable) -> None:
    """Put the kept rows in the place of all files; the damaged ones are kept aside."""
    for file in table.damaged:
        storage.put(f"{DAMAGED}/{table.name}/{file}", storage.read(f"{table.name}/{file}"))
    rows = table.rows
    if table.name in TABLES and (rows is None or rows.num_rows == 0):
        # What is left of a damaged part may lack columns that readers ask for.
        rows = run_schemas({})[table.name].empty_table()
    if rows is not None:
        counter = max((counter_of(file) for file in table.files), default=-1) + 1
        put_part(storage, table.name, part_name(counter), joined_rows([rows]), replaces=table.files)
    for file in table.files:
        storage.delete(f"{table.name}/{file}")
