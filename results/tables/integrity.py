"""Which rows a run's tables may hold, in themselves and together; what breaks a rule is damage and is told."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pandas as pd

from toprung.results.tables.part_file import DamagedTableError, named
from toprung.results.tables.repair_log import trials_without_epochs
from toprung.results.tables.schema import EPOCHS, OVERFLOW, PROPOSALS, RUN, RUNGS, SPACE, TABLES, TRIALS
from toprung.trainables.system.uris import join
from toprung.trainables.trial.report import Outcome
from toprung.trainables.trial.trial_id import number_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    from toprung.trainables.system.storage import Storage

Mask = np.ndarray[Any, np.dtype[np.bool_]]

KEYS = {PROPOSALS: ["trial_id"], EPOCHS: ["trial_id", "epoch"], TRIALS: ["trial_id"]}
"""By table, the columns whose values no two rows share."""

_NUMBERS = {
    PROPOSALS: {"number": 0, "seed": 0},
    EPOCHS: {"epoch": 1, "arrival_index": 0},
    TRIALS: {"number": 0},
}
"""By table, the columns of whole numbers that no row may lack, and the least value of each."""

_NEEDED = {
    **{table: (*KEYS[table], *_NUMBERS[table]) for table in KEYS},
    TRIALS: (*KEYS[TRIALS], *_NUMBERS[TRIALS], "outcome"),
    RUNGS: ("trial_id", "rung_epoch", "epoch", "decision"),
    SPACE: ("name", "kind"),
}
"""By table, the columns that every part has, one without rows too: a part without them is another table's."""

_OF_ANOTHER = {PROPOSALS: {"outcome"}}
"""By table, columns that no part has, where those of another table include all that it needs."""

_TRIAL_ID = re.compile(r"t[0-9]{5,9}")
_OUTCOMES = frozenset(map(str, Outcome))


def foreign_columns(table: str, names: Iterable[str]) -> str:
    """What shows that a part with columns of these names is none of the table, in words; empty for one of its own."""
    found = {*names}
    if lacking := {*_NEEDED.get(table, ())} - found:
        return f"it has no {', '.join(sorted(lacking))}"
    of_another = found & _OF_ANOTHER.get(table, set())
    return f"it has {', '.join(sorted(of_another))}" if of_another else ""


def check_rows(table: str, rows: pa.Table, where: str, root: str) -> None:
    """Raise DamagedTableError with the first kind of rows that cannot be in this table, if there are any."""
    for rule, broken in broken_rules(table, rows):
        raise DamagedTableError.of(where, f"{int(broken.sum())} of {rows.num_rows} rows {rule}", root)


def broken_rules(table: str, rows: pa.Table) -> Iterator[tuple[str, Mask]]:
    """What is wrong with rows of a table, and with which of them; nothing for a table without rules."""
    if table == SPACE:
        yield from _unreadable_choices(rows)
    if table not in KEYS or rows.num_rows == 0:
        return
    columns = list(dict.fromkeys([*_NEEDED[table], *([OVERFLOW] if OVERFLOW in rows.schema.names else [])]))
    # Pandas' own metadata would make an index of a column that was one where the part was written back.
    frame: pd.DataFrame = rows.select(columns).to_pandas(ignore_metadata=True)
    for rule, broken in _rules(table, frame):
        if broken.any():
            yield rule, broken


def _unreadable_choices(rows: pa.Table) -> Iterator[tuple[str, Mask]]:
    for name in ("choices", "fixed"):
        texts = rows[name].to_pylist() if name in rows.schema.names else []
        broken = np.array([text is not None and not _is_json(text) for text in texts], bool)
        if broken.any():
            yield f"have unreadable {name}", broken


def _rules(table: str, frame: pd.DataFrame) -> Iterator[tuple[str, Mask]]:
    has_id = _holding(frame["trial_id"], lambda name: _TRIAL_ID.fullmatch(name) is not None)
    yield "have no trial id such as t00012", ~has_id
    for name, least in _NUMBERS[table].items():
        yield f"have no {name} of {least} or more", ~(frame[name].fillna(-1) >= least).to_numpy(bool)
    if "number" in _NUMBERS[table]:
        ids = frame["trial_id"].where(has_id, "t00000")
        other = frame["number"].fillna(-1).to_numpy(np.int64) != np.array([number_of(name) for name in ids])
        yield "have a number that is not that of the trial id", other & has_id
    if table == TRIALS:
        yield "have an unknown outcome", ~_holding(frame["outcome"], _OUTCOMES.__contains__)
    if OVERFLOW in frame:
        is_null = frame[OVERFLOW].isna().to_numpy(bool)
        yield f"have an unreadable {OVERFLOW}", ~(_holding(frame[OVERFLOW], _is_object) | is_null)
    yield f"repeat the {' and '.join(KEYS[table])} of another", frame.duplicated(KEYS[table]).to_numpy(bool)


def check_together(
    storage: Storage, proposals: pd.DataFrame, epochs: pd.DataFrame, trials: pd.DataFrame
) -> None:
    """Raise DamagedTableError where rows of one table need rows of another that are not there.

    The frames are read in the reverse of the order in which they are written, as `read_tables` does.
    """
    frames = {PROPOSALS: proposals, EPOCHS: epochs, TRIALS: trials}
    run = run_of([frame[RUN].tolist() for frame in frames.values() if RUN in frame])
    for table, frame in frames.items():
        if RUN in frame and (others := sorted({*frame[RUN].dropna()} - {run})):
            _raise_apart(storage, table, f"holds rows of the run {others[0]!r} beside those of {run!r}")
    known = set(proposals["trial_id"])
    for table, frame in ((EPOCHS, epochs), (TRIALS, trials)):
        if lost := sorted(set(frame["trial_id"]) - known):
            _raise_apart(storage, PROPOSALS, f"lacks {named(lost, 'trials')} of the table {table}")
    reached = epochs.groupby("trial_id")["epoch"].count().to_dict()
    ended = zip(trials["trial_id"], trials["last_epoch"].fillna(0), strict=True)
    short = sorted(name for name, last in ended if reached.get(name, 0) < last)
    if short and (lost := sorted(set(short) - trials_without_epochs(storage))):
        _raise_apart(storage, EPOCHS, f"lacks epochs of {named(lost, 'trials')}")
    if len(proposals):
        for table in TABLES:  # all are made before the first row of any
            if not storage.list(table):
                raise_lost(storage, table)


def run_of(columns: Iterable[Iterable[object]]) -> str | None:
    """The run that most tables name, each by most of its rows, from their columns `run`; None where none names one."""
    rows = [Counter(name for name in column if isinstance(name, str)) for column in columns]
    tables = Counter(counted.most_common(1)[0][0] for counted in rows if counted)
    return tables.most_common(1)[0][0] if tables else None


def raise_lost(storage: Storage, table: str) -> NoReturn:
    """Raise DamagedTableError for a table without any file, in a run of which another table has rows."""
    _raise_apart(storage, table, "holds no file")


def _raise_apart(storage: Storage, table: str, given: str) -> NoReturn:
    raise DamagedTableError.of(join(storage.root, table), given, storage.root)


def _holding(column: pd.Series, rule: Callable[[str], bool]) -> Mask:
    return np.array([isinstance(text, str) and rule(text) for text in column], bool)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
