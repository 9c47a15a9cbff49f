"""What can be read of a damaged part: the columns whose pages are intact."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from toprung.results.tables.foreign_types import as_written_here
from toprung.results.tables.integrity import foreign_columns
from toprung.results.tables.part_file import read_rows
from toprung.results.tables.schema import (
    EPOCHS,
    PREEMPTIONS,
    PROPOSALS,
    RUN,
    TRIALS,
    WAIT_SECS,
    run_schemas,
)
from toprung.results.tables.trial_details import TrialDetails
from toprung.trainables.trial.report import CLEAN_TRAIN_ACCURACY

if TYPE_CHECKING:
    from collections.abc import Mapping

_DISPENSABLE: Mapping[str, frozenset[str]] = {
    PROPOSALS: frozenset({RUN, "proposal_reason", "proposed_at"}),
    EPOCHS: frozenset(
        {RUN, "train_accuracy", "train_loss", "learning_rate", "images_per_sec", CLEAN_TRAIN_ACCURACY}
        | {"decision", "search_note", PREEMPTIONS, WAIT_SECS, "reported_at"}
    ),
    TRIALS: frozenset({RUN, "reason", "train_secs", *(field.name for field in fields(TrialDetails))})
    - {"seed", "data_fingerprint", "ended_at"},
}
"""By table, the columns that a row may lose; a part that has lost another is lost."""


def salvaged(content: pa.Buffer, table: str) -> tuple[pa.Table | None, str]:
    """The rows of a damaged part without the columns that cannot be read; none if they are worth nothing without.

    Returns:
        The rows, or None, and what is lost in words; empty if the part is lost as a whole.
    """
    try:
        names = pq.read_schema(pa.BufferReader(content)).names
    except Exception:  # whatever Arrow raises at a damaged footer
        return None, ""
    if foreign_columns(table, names):
        return None, ""
    columns, lost = {}, []
    for name in names:
        try:
            columns[name] = read_rows(content, [name])[name]
        except Exception:
            lost.append(name)
    lost += (
        [name for name in run_schemas({})[table].names if name not in names] if table in _DISPENSABLE else []
    )
    if not columns or not set(lost) <= _DISPENSABLE.get(table, frozenset()):
        return None, ""
    schema = run_schemas({})[table] if lost else pa.schema([])
    count = len(next(iter(columns.values())))
    columns |= {name: pa.nulls(count, schema.field(name).type) for name in lost}
    try:
        rows = as_written_here(pa.table(columns), table)
    except ValueError:
        return None, ""
    if lost:
        return rows, f"{rows.num_rows} rows lost the columns {', '.join(lost)}"
    return rows, f"its footer was changed; its {rows.num_rows} rows are kept as they read"
