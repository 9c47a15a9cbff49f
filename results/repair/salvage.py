"""What can be read of a damaged part: the columns whose pages are intact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from toprung.results.tables.foreign_types import as_written_here
from toprung.results.tables.integrity import foreign_columns
from toprung.results.tables.part_file import read_rows
from toprung.results.tables.schema import CONFIG, EPOCHS, OVERFLOW, PROPOSALS, RUNGS, TRIALS, run_schemas
from toprung.trainables.trial.trial_id import number_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Columns = dict[str, pa.Array | pa.ChunkedArray]

_INDISPENSABLE: Mapping[str, frozenset[str]] = {
    PROPOSALS: frozenset({"trial_id", OVERFLOW}),
    EPOCHS: frozenset({"trial_id", "epoch", "arrival_index", "epoch_secs", "elapsed_secs"}),
    RUNGS: frozenset({"trial_id", "rung_epoch", "epoch", "decision"}),
    TRIALS: frozenset({"trial_id", "outcome", OVERFLOW}),
}
"""By table, the columns without which a row is worth nothing, beside those of the configuration and the objective."""

_REPLACEABLE = frozenset({"number", "seed"})
"""Columns whose values stand elsewhere too, and that a part of proposals has in any case."""


def salvaged(content: pa.Buffer, table: str, objective: str | None = None) -> tuple[pa.Table | None, str]:
    """The rows of a damaged part without the columns that cannot be read; none if they are worth nothing without.

    A lost number of a trial is that of its id; other lost values are null.

    Args:
        content: The part's file.
        table: The table it belongs to.
        objective: The metric of the main objective; None where it is not known.

    Returns:
        The rows, or None, and what is lost in words; empty if the part is lost as a whole.
    """
    try:
        names = pq.read_schema(pa.BufferReader(content)).names
    except Exception:  # whatever Arrow raises at a damaged footer
        return None, ""
    standard = run_schemas({}).get(table, pa.schema([])).names
    missing = [name for name in standard if name not in names]
    if foreign_columns(table, {*names, *_REPLACEABLE}) or len(missing) > len(standard) // 2:
        return None, ""
    columns, lost = {}, []
    for name in names:
        try:
            columns[name] = read_rows(content, [name])[name]
        except Exception:
            lost.append(name)
    lost += missing
    if not columns or any(_is_indispensable(table, name, objective) for name in lost):
        return None, ""
    columns |= _substitutes(table, lost, columns)
    try:
        rows = as_written_here(pa.table(columns), table)
    except ValueError:
        return None, ""
    if lost:
        return rows, f"{rows.num_rows} rows lost the columns {', '.join(lost)}"
    return rows, f"its footer was changed; its {rows.num_rows} rows are kept as they read"


def _is_indispensable(table: str, name: str, objective: str | None) -> bool:
    """Whether a row without this column is worth nothing; in a table of unknown columns each is needed."""
    if table not in _INDISPENSABLE or name in _INDISPENSABLE[table] or name.startswith(CONFIG):
        return True
    return table == EPOCHS and name == (objective or "val_accuracy")


def _substitutes(table: str, lost: Sequence[str], columns: Mapping[str, pa.ChunkedArray]) -> Columns:
    schema, count = run_schemas({})[table] if lost else pa.schema([]), len(next(iter(columns.values())))
    known = set(schema.names)
    made: Columns = {
        name: pa.nulls(count, schema.field(name).type if name in known else pa.float64()) for name in lost
    }
    if "number" in made:
        made["number"] = pa.array([_number(name) for name in columns["trial_id"].to_pylist()], pa.int64())
    return made


def _number(trial_id: object) -> int | None:
    """The number in a trial id; None for what is none."""
    text = trial_id[1:] if isinstance(trial_id, str) else ""
    return number_of(f"t{text}") if text.isdecimal() else None
