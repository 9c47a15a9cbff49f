"""Damages a run's tables in many ways; every reader must notice, or see what was written."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from toprung.results.repair.repair import repair_run
from toprung.results.tables.parts import read_table, read_tables
from toprung.results.tables.rows import Row
from toprung.results.tables.schema import RUNGS, SPACE, TABLES, run_schemas
from toprung.results.tables.writer import RunWriter
from toprung.spaces.errors import InputError

Frames = tuple[pd.DataFrame, ...]


def write_run(root: Path, rows: dict[str, list[Row]]) -> None:
    """A run folder with these rows by table, some of them in a second part."""
    schemas = run_schemas({"learning_rate": "float", "optimizer": "str", "blocks": "int", "nesterov": "bool"})
    with RunWriter(root, schemas) as writer:
        for table in TABLES:
            for row in rows.get(table, []):
                writer.append(table, row)
        writer.flush()


def flip_bits(root: Path, rng: random.Random) -> str:
    """Flip one bit of one part."""
    part = rng.choice(_parts(root))
    content = bytearray(part.read_bytes())
    place = rng.randrange(len(content))
    content[place] ^= 1 << rng.randrange(8)
    part.write_bytes(content)
    return f"bit {place} of {part.name}"


def cut(root: Path, rng: random.Random) -> str:
    """Leave the first bytes of one part."""
    part = rng.choice(_parts(root))
    part.write_bytes(part.read_bytes()[: rng.randrange(part.stat().st_size)])
    return f"cut {part.name}"


def remove(root: Path, rng: random.Random) -> str:
    """Remove one part that holds rows."""
    part = rng.choice([part for part in _parts(root) if pq.read_metadata(part).num_rows])
    part.unlink()
    return f"removed {part.parent.name}/{part.name}"


def put_foreign(root: Path, rng: random.Random) -> str:
    """Put a file of another origin, or of another table, among the parts."""
    folder = root / rng.choice(TABLES)
    name = rng.choice(["a.parquet", "part-000007-0badc0de.parquet"])
    other = rng.choice([part for part in _parts(root) if part.parent != folder])
    foreign: list[Callable[[Path], object]] = [
        lambda path: path.write_bytes(b"PAR1 no such file PAR1"),
        lambda path: pq.write_table(pa.table({"a": [1, 2]}), path),
        lambda path: shutil.copy(other, path),
        lambda path: pq.write_table(pa.table({"trial_id": ["t00000"], "epoch": [1], "number": [0]}), path),
    ]
    rng.choice(foreign)(folder / name)
    return f"foreign {folder.name}/{name}"


def rewrite_with_pandas(root: Path, rng: random.Random) -> str:
    """Read a part with pandas and write it back, with columns in other types of the same values."""
    part = rng.choice([part for part in _parts(root) if "trial_id" in pq.read_schema(part).names])
    frame = pd.read_parquet(part)
    way = rng.choice(["plain", "category", "object", "naive", "index", "float", "large"])
    if way == "category":
        frame["trial_id"] = frame["trial_id"].astype("category")
    if way == "object":
        frame = frame.astype(object)
    if way == "float":
        whole = [name for name, kind in frame.dtypes.items() if str(kind) == "Int64"]
        frame = frame.astype(dict.fromkeys(whole, "float64"))
    if way == "naive":
        times = [name for name, kind in frame.dtypes.items() if str(kind).startswith("datetime64")]
        frame = frame.assign(
            **{name: frame[name].dt.tz_localize(None).astype("datetime64[ns]") for name in times}
        )
    if way == "index":
        frame.index = pd.Index(range(5, 5 + len(frame)))
    if way == "large":
        table = pa.Table.from_pandas(frame)
        kinds = [pa.large_string() if pa.types.is_string(one.type) else one.type for one in table.schema]
        fields = [pa.field(one.name, kind) for one, kind in zip(table.schema, kinds, strict=True)]
        pq.write_table(table.cast(pa.schema(fields)), part)
    else:
        frame.to_parquet(part)
    return f"pandas, {way}, {part.parent.name}"


def rewrite_without_columns(root: Path, rng: random.Random) -> str:
    """Read a part with pandas and write it back without some of its columns."""
    part = rng.choice([part for part in _parts(root) if pq.read_metadata(part).num_rows])
    frame = pd.read_parquet(part)
    dropped = rng.sample(list(frame.columns), rng.choice([1, 1, 2, 5]))
    frame.drop(columns=dropped).to_parquet(part)
    return f"{part.parent.name} without {dropped}"


Damage = Callable[[Path, random.Random], str]
DAMAGES: Sequence[Damage] = (
    *(flip_bits, flip_bits, flip_bits, cut, remove, put_foreign),
    *(rewrite_with_pandas, rewrite_without_columns),
)


def outcomes(
    rows: dict[str, list[Row]], count: int, seed: int, damages: Sequence[Damage] = DAMAGES
) -> Iterator[tuple[str, str]]:
    """For each of `count` damages, what was done, and what came of it.

    "told": one line; "unchanged": the rows are those that were written; "CHANGED": other rows without a word;
    "TRACEBACK": another error than for wrong input; "UNREPAIRED": the run is not readable after `toprung repair`.
    """
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch, "whole")
        write_run(whole, rows)
        written = _read(whole)
        for number in range(count):
            root = Path(scratch, f"run{number}")
            shutil.copytree(whole, root)
            done = damages[number % len(damages)](root, rng)
            outcome = _outcome(root, written)
            if outcome == "told" and (failed := _repair_failure(root)):
                outcome = f"UNREPAIRED: {failed}"
            yield done, outcome
            shutil.rmtree(root)


def _read(root: Path) -> Frames:
    """All tables of a run."""
    return (*read_tables(root), read_table(root, SPACE), read_table(root, RUNGS))


def _outcome(root: Path, written: Frames) -> str:
    try:
        found = _read(root)
    except InputError as error:
        lines = str(error).splitlines()
        return "told" if len(lines) == 1 and str(root) in lines[0] else f"TRACEBACK: {error}"
    except Exception as error:
        return f"TRACEBACK: {error!r}"
    is_same = all(_are_equal(one, other) for one, other in zip(found, written, strict=True))
    return "unchanged" if is_same else "CHANGED"


def _are_equal(found: pd.DataFrame, written: pd.DataFrame) -> bool:
    """Whether the values are equal; a column of nulls may be gone, and null and NaN are one to other programs."""
    missing = [name for name in written if name not in found]
    if not written[missing].isna().all(axis=None) or set(found) - set(written):
        return False
    return all(
        [_plain(value) for value in found[name]] == [_plain(value) for value in written[name]]
        for name in found
    )


def _plain(value: object) -> object:
    return None if pd.isna(value) else value  # type: ignore[call-overload]


def _repair_failure(root: Path) -> str:
    try:
        repaired = repair_run(root)
        _read(root)
    except Exception as error:
        return repr(error)
    return "" if repaired.lost else "it said nothing"


def _parts(root: Path) -> list[Path]:
    return sorted(path for table in TABLES for path in (root / table).glob("*.parquet"))
