"""What a repair finds of one table: the rows that can be read, and a line for each loss."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from toprung.results.repair.salvage import Salvaged, salvaged
from toprung.results.tables.integrity import broken_rules
from toprung.results.tables.part_file import DamagedTableError, Part
from toprung.results.tables.parts import (
    joined_rows,
    missing_from,
    of_other_runs,
    part_names,
    read_part,
    replaced_by,
)
from toprung.results.tables.recorded_columns import recorded_columns
from toprung.results.tables.schema import RUN
from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from toprung.trainables.system.storage import Storage


@dataclass
class FoundTable:
    """What was found of one table.

    Attributes:
        name: The table.
        files: The names of all its files.
        damaged: Those that could not be read as they were written.
        rows: The rows that are kept; None without any file that could be read.
        lost: One line for each loss.
        lost_values: By column, the trials in whose rows its value could not be read.
        other_version: The error of a part that says it is of another version of the schema, if one does.
        obstacle: What lies in the place of the table's folder, in words; None for nothing.
    """

    name: str
    files: tuple[str, ...] = ()
    damaged: list[str] = field(default_factory=list)
    rows: pa.Table | None = None
    lost: list[str] = field(default_factory=list)
    lost_values: dict[str, set[str]] = field(default_factory=dict)
    other_version: InputError | None = None
    obstacle: str | None = None

    @property
    def is_changed(self) -> bool:
        """Whether the table is to be written anew."""
        return bool(self.lost or self.damaged)

    def keep(self, wanted: np.ndarray[Any, Any], why: str) -> None:
        """Keep the rows of a mask, and say how many others there were."""
        if self.rows is not None and not wanted.all():
            self.lost.append(f"{self.name}: {int((~wanted).sum())} rows {why}")
            self.rows = self.rows.filter(pa.array(wanted))

    def keep_sound(self) -> None:
        """Keep the rows that can be in this table."""
        while self.rows is not None and (broken := next(broken_rules(self.name, self.rows), None)):
            self.keep(~broken[1], broken[0])

    def column(self, name: str) -> list[Any]:
        """The values of a column; None in each row where the table has none of this name."""
        if self.rows is None:
            return []
        return self.rows[name].to_pylist() if name in self.rows.schema.names else [None] * self.rows.num_rows

    def by_trial(self, name: str) -> dict[Any, Any]:
        """The values of a column by trial id."""
        return dict(zip(self.column("trial_id"), self.column(name), strict=True))

    def fill(self, name: str, values: dict[Any, Any]) -> None:
        """Put values, by trial id, in the place of the nulls of a column."""
        known = self.column(name)
        pairs = zip(self.column("trial_id"), known, strict=True)
        filled = [values.get(trial_id) if value is None else value for trial_id, value in pairs]
        if self.rows is not None and name in self.rows.schema.names and filled != known:
            place = self.rows.schema.get_field_index(name)
            of_type = self.rows.schema.field(name)
            self.rows = self.rows.set_column(place, of_type, pa.array(filled, of_type.type))

    @property
    def runs(self) -> list[Any]:
        """The run that each row names; None for one of an earlier version, which names none."""
        return self.column(RUN)


def find_table(storage: Storage, name: str, objective: str | None, run_id: str | None = None) -> FoundTable:
    """Read what can be read of a table.

    Args:
        storage: The run folder.
        name: The table.
        objective: The metric of the main objective, without which an epoch is worth nothing; None if not known.
        run_id: That of the run; None if no part has one.
    """
    if obstacle := storage.obstacle(name):
        return FoundTable(name, obstacle=obstacle, lost=[f"{name}: is {obstacle}"])
    table = FoundTable(name, part_names(storage, name))
    parts: dict[str, Part] = {}
    for file in table.files:
        try:
            parts[file] = read_part(storage, name, file)
        except (InputError, FileNotFoundError) as error:  # the latter for a link that leads nowhere
            if isinstance(error, InputError) and not isinstance(error, DamagedTableError):
                table.other_version = error
            table.damaged.append(file)
            left = _salvaged(storage, name, file, objective)
            given = error.problems[0].given if isinstance(error, InputError) else "is not there"
            table.lost.append(f"{name}/{file}: {left.told or given}")
            if left.rows is not None:
                parts[file] = Part(left.rows)
                _note_lost_values(table, left.rows, left.lost)
    table.lost += [f"{name}/{file}: is missing" for file in missing_from(parts) if file not in table.damaged]
    for file in of_other_runs(parts, run_id):
        table.damaged.append(file)
        table.lost.append(f"{name}/{file}: is of another run with the same name")
        del parts[file]
    replaced = replaced_by(parts.values())
    counting = [part.rows for file, part in parts.items() if file not in replaced]
    if counting:
        table.rows = _joined(table, counting)
    elif not table.files:
        table.lost.append(f"{name}: no file is there")
    return table


def _salvaged(storage: Storage, name: str, file: str, objective: str | None) -> Salvaged:
    try:
        content = storage.read(f"{name}/{file}")
    except OSError:
        return Salvaged()
    return salvaged(content, name, objective, recorded_columns(storage, name))


def _note_lost_values(table: FoundTable, rows: pa.Table, lost: Iterable[str]) -> None:
    trial_ids = set(rows["trial_id"].to_pylist()) if "trial_id" in rows.schema.names else set()
    for column in lost:
        table.lost_values.setdefault(column, set()).update(trial_ids)


def _joined(table: FoundTable, parts: list[pa.Table]) -> pa.Table:
    """All rows of the parts that can be joined with the first."""
    rows = parts[0]
    for part in parts[1:]:
        try:
            rows = joined_rows([rows, part])
        except pa.ArrowException:
            table.lost.append(f"{table.name}: {part.num_rows} rows whose columns have other types")
    return rows
