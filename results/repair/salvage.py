"""What can be read of a damaged part: the columns whose pages are intact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from toprung.results.tables.foreign_types import as_written_here
from toprung.results.tables.integrity import foreign_columns
from toprung.results.tables.part_file import read_rows
from toprung.results.tables.schema import EPOCHS, PROPOSALS, RUNGS, TRIALS, run_schemas
from toprung.trainables.trial.trial_id import number_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Columns = dict[str, pa.Array | pa.ChunkedArray]
Types = dict[str, pa.DataType]

_INDISPENSABLE: Mapping[str, frozenset[str]] = {
    PROPOSALS: frozenset({"trial_id"}),
    EPOCHS: frozenset({"trial_id", "epoch", "arrival_index", "epoch_secs", "elapsed_secs"}),
    RUNGS: frozenset({"trial_id", "rung_epoch", "epoch", "decision"}),
    TRIALS: frozenset({"trial_id", "outcome"}),
}
"""By table, the columns without which a row is worth nothing, beside that of the objective; whether a row can do
without a part of its configuration depends on the other tables."""

_REPLACEABLE = frozenset({"number", "seed"})
"""Columns whose values stand elsewhere too, and that a part of proposals has in any case."""


@dataclass(frozen=True)
class Salvaged:
    """What is left of a damaged part.

    Attributes:
        rows: Its rows, with nulls in the columns that are lost; None where they are worth nothing.
        lost: The names of these columns.
        told: What is lost in words; empty if the part is lost as a whole.
    """

    rows: pa.Table | None = None
    lost: tuple[str, ...] = ()
    told: str = ""


def salvaged(
    content: pa.Buffer,
    table: str,
    objective: str | None = None,
    recorded: Mapping[str, pa.DataType] | None = None,
) -> Salvaged:
    """The rows of a damaged part without the columns that cannot be read; none if they are worth nothing without.

    A lost number of a trial is that of its id; other lost values are null.

    Args:
        content: The part's file.
        table: The table it belongs to.
        objective: The metric of the main objective; None where it is not known.
        recorded: The columns that the run's table has, as far as they are known.
    """
    try:
        schema = pq.read_schema(pa.BufferReader(content))
    except Exception:  # whatever Arrow raises at a damaged footer
        return Salvaged()
    standard = run_schemas({}).get(table, pa.schema([]))
    missing = [name for name in standard.names if name not in schema.names]
    if foreign_columns(table, {*schema.names, *_REPLACEABLE}) or len(missing) > len(standard) // 2:
        return Salvaged()
    types = _types(schema) | _types(standard) | dict(recorded or {})
    columns, lost = {}, []
    for name in schema.names:
        try:
            columns[name] = read_rows(content, [name])[name]
        except Exception:
            lost.append(name)
    lost += [name for name in types if name not in schema.names and (not recorded or name in recorded)]
    if not columns or any(_is_indispensable(table, name, objective) for name in lost):
        return Salvaged()
    columns |= _substitutes(lost, columns, types)
    try:
        rows = as_written_here(pa.table(columns), table, recorded)
    except ValueError:
        return Salvaged()
    if lost:
        return Salvaged(rows, tuple(lost), f"{rows.num_rows} rows lost the columns {', '.join(lost)}")
    return Salvaged(rows, told=f"its footer was changed; its {rows.num_rows} rows are kept as they read")


def _types(schema: pa.Schema) -> Types:
    return {field.name: field.type for field in schema}


def _is_indispensable(table: str, name: str, objective: str | None) -> bool:
    """Whether a row without this column is worth nothing; in a table of unknown columns each is needed."""
    if table not in _INDISPENSABLE or name in _INDISPENSABLE[table]:
        return True
    return table == EPOCHS and name == (objective or "val_accuracy")


def _substitutes(lost: Sequence[str], columns: Mapping[str, pa.ChunkedArray], types: Types) -> Columns:
    count = len(next(iter(columns.values())))
    made: Columns = {name: pa.nulls(count, types[name]) for name in lost}
    if "number" in made:
        made["number"] = pa.array([_number(name) for name in columns["trial_id"].to_pylist()], pa.int64())
    return made


def _number(trial_id: object) -> int | None:
    """The number in a trial id; None for what is none."""
    text = trial_id[1:] if isinstance(trial_id, str) else ""
    return number_of(f"t{text}") if text.isdecimal() else None
