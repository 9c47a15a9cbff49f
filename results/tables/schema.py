"""The columns of the append-only tables: space, proposals, epochs, rungs, trials.

Every part of a run has the same full schema, known before the first row: `pandas.read_parquet("RUN/trials")`
takes its columns from the first file alone, so a conditional parameter that first appears in a later part
would be lost. A value that its column cannot hold exactly, its type included, goes, as JSON, to the column
`overflow_json`; nothing is dropped. Each part says in its Parquet metadata which SCHEMA_VERSION it has.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import fields
from datetime import datetime
from functools import cache, lru_cache
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_type_hints

import pandas as pd
import pyarrow as pa

from toprung.results.tables.trial_details import TrialDetails
from toprung.spaces.definition.plain_values import plain
from toprung.trainables.trial.bounds import VIOLATION
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.trial.report import CLEAN_TRAIN_ACCURACY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Kind = Literal["int", "float", "bool", "str"]
SCHEMA_VERSION = 2
"""Raised when a column gets another name or meaning: a reader refuses the tables of another version."""

SPACE, PROPOSALS, EPOCHS, RUNGS, TRIALS = "space", "proposals", "epochs", "rungs", "trials"
TABLES = (SPACE, PROPOSALS, EPOCHS, RUNGS, TRIALS)
"""In the order they are written: an epoch on disk has its proposal, a rung's decision its epoch, and an ended trial all
of them."""

RUN = "run"
"""The column of the run's name, with which the rows of many runs can be read together."""
PREEMPTIONS, WAIT_SECS = "preemptions", "wait_secs"
"""The columns of how often a node died under a trial, and how long the trial waited for another worker: in `trials`,
and in `epochs` up to that epoch, so that a search that goes on counts on."""
CONFIG = "config/"
SUGGESTED = "suggested/"
OVERFLOW = "overflow_json"
METRICS = (
    *("val_accuracy", "val_loss", "train_accuracy", "train_loss"),
    *(CLEAN_TRAIN_ACCURACY, "learning_rate", "images_per_sec"),
)
VAL_ACCURACY = Objectives.named(["val_accuracy"])

_SPACE_TEXTS = ("choices", "condition", "fixed")
_VERSION_KEY = b"toprung.schema_version"
_RUN_ID_KEY = b"toprung.run_id"
_INT, _FLOAT, _BOOL, _STR = pa.int64(), pa.float64(), pa.bool_(), pa.string()
_TIME = pa.timestamp("us", tz="UTC")
COLUMN_TYPES = (_INT, _FLOAT, _BOOL, _STR, _TIME)
"""The types of all columns."""
_OF_KIND = {"int": _INT, "float": _FLOAT, "bool": _BOOL, "str": _STR}
_OF_TYPE = {int: _INT, float: _FLOAT, bool: _BOOL, str: _STR, datetime: _TIME}
# Integers and booleans that may be missing need pandas' nullable types; without them a conditional integer
# parameter would come back as a float and a seed above 2**53 as another seed.
_PANDAS = {_INT: "Int64", _FLOAT: "float64", _BOOL: "boolean", _STR: "str", _TIME: "datetime64[us, UTC]"}


def kinds_of(configs: Iterable[Mapping[str, Any]]) -> dict[str, Kind]:
    """The kind of each parameter seen in `configs`: name -> int, float, bool or str.

    Integers and floats together are float; any other mixture, None included, is str.
    """
    seen: dict[str, set[type]] = {}
    for config in configs:
        for name, value in config.items():
            seen.setdefault(name, set()).add(type(plain(value)))
    return {name: _kind(types) for name, types in sorted(seen.items())}


def _kind(types: set[type]) -> Kind:
    if types == {bool}:
        return "bool"
    if types == {int}:
        return "int"
    return "float" if types <= {int, float} else "str"


def proposals_schema(kinds: Mapping[str, Kind]) -> pa.Schema:
    """One row for each proposed configuration.

    `proposal_kind` says where it came from. A promotion is none of the kinds: it resumes a trial under its own id and
    configuration, and `rungs` has it as a decision PROMOTE.

    A parameter of the space that is no entry of the configuration under its own name stands, as SUGGESTED, in
    `overflow_json`.
    """
    head = {RUN: _STR, "trial_id": _STR, "number": _INT, "seed": _INT, "proposal_reason": _STR}
    origin = {"proposed_at": _TIME, "data_fingerprint": _STR}
    predicted = {"predicted_mean": _FLOAT, "predicted_deviation": _FLOAT}
    source = {"proposal_kind": _STR, "model_rung_epoch": _INT, **predicted}
    return _schema({**head, **origin, **source, **_config_columns(kinds), OVERFLOW: _STR})


def space_schema() -> pa.Schema:
    """One row for each parameter of the space; `choices` and `fixed` are JSON, `condition` an expression."""
    bounds = {"low": _FLOAT, "high": _FLOAT, "log": _BOOL, "step": _FLOAT}
    return _schema(
        {RUN: _STR, "name": _STR, "kind": _STR, **bounds, **dict.fromkeys(_SPACE_TEXTS, _STR), OVERFLOW: _STR}
    )


def rungs_schema() -> pa.Schema:
    """One row for each decision at a rung, in order: the rung as it was after the trial's result.

    `decision` is KEEP, STOP, PAUSE (every trial of the promotion variant), or PROMOTE: a paused trial trains on; the
    row is written with its next report, whose `epoch` it has.

    `value` is what the trial was ranked by and `threshold` the least good value that was kept, of one objective in the
    units of its metric, of several the number of trials that dominate it.
    """
    head = {
        RUN: _STR,
        "trial_id": _STR,
        "rung_epoch": _INT,
        "epoch": _INT,
        "event_index": _INT,
        "decision": _STR,
    }
    state = {"value": _FLOAT, "threshold": _FLOAT, "results": _INT, "passed": _INT}
    predicts = {"next_rank_correlation": _FLOAT, "last_rank_correlation": _FLOAT}
    use = {"in_use": _BOOL, "first_rung_epoch": _INT}
    return _schema({**head, **state, **predicts, **use, "decided_at": _TIME, OVERFLOW: _STR})


def epochs_schema(metrics: Iterable[str] = ()) -> pa.Schema:
    """One row for each epoch reported; `arrival_index` is the order of arrival over the run and survives resume.

    `metrics` adds columns to the standard ones. A NaN metric stays NaN; null means that it was not measured.
    `violation` is how far the epoch is beyond the bounds, see `Bounds.violation`; null where there are none.
    `preemptions` and `wait_secs` are the trial's up to the epoch.
    """
    head = {RUN: _STR, "trial_id": _STR, "epoch": _INT, "arrival_index": _INT}
    values = dict.fromkeys([*METRICS, *metrics], _FLOAT)
    seconds = {"epoch_secs": _FLOAT, "elapsed_secs": _FLOAT}
    decided = {VIOLATION: _FLOAT, "decision": _STR, "search_note": _STR}
    tail = {PREEMPTIONS: _INT, WAIT_SECS: _FLOAT, "reported_at": _TIME, OVERFLOW: _STR}
    return _schema({**head, **values, **seconds, **decided, **tail})


def trials_schema(kinds: Mapping[str, Kind], objectives: Objectives = VAL_ACCURACY) -> pa.Schema:
    """One row for each trial that has ended; `best_` and `last_` stand before the main objective's metric.

    Each secondary objective and each bounded metric has a column of its value at best_epoch; `violation` is how far the
    trial is beyond the bounds there, or its model if it was not trained.
    """
    metric = objectives.main.metric
    head = {RUN: _STR, "trial_id": _STR, "number": _INT, "outcome": _STR, "reason": _STR}
    best = {f"best_{metric}": _FLOAT, "best_epoch": _INT, f"last_{metric}": _FLOAT, "last_epoch": _INT}
    others = dict.fromkeys((name for name in objectives.measured if name != metric), _FLOAT)
    measured = {**best, VIOLATION: _FLOAT, "train_secs": _FLOAT, **others, **_detail_columns()}
    return _schema({**head, **_config_columns(kinds), **measured, OVERFLOW: _STR})


def run_schemas(
    kinds: Mapping[str, Kind], objectives: Objectives = VAL_ACCURACY, metrics: Iterable[str] = ()
) -> dict[str, pa.Schema]:
    """The schemas of a run by table name, in writing order; `metrics` are measured beside the standard ones."""
    return {
        SPACE: space_schema(),
        PROPOSALS: proposals_schema(kinds),
        EPOCHS: epochs_schema([*objectives.measured, *metrics]),
        RUNGS: rungs_schema(),
        TRIALS: trials_schema(kinds, objectives),
    }


def schema_version(schema: pa.Schema) -> str | None:
    """The version in the metadata of a part's schema; None in tables of earlier versions of toprung."""
    found = (schema.metadata or {}).get(_VERSION_KEY)
    return None if found is None else found.decode()


def with_run_id(schema: pa.Schema, run_id: str) -> pa.Schema:
    """The schema of a run's own parts, which say whose they are: two runs may have one name."""
    signed = f"{run_id}-{_check_digits(run_id)}".encode()
    return schema.with_metadata({**(schema.metadata or {}), _RUN_ID_KEY: signed})


def run_id_of(schema: pa.Schema) -> str | None:
    """The run that a part says it is of; None where it says nothing, or nothing intact, as after a flipped bit."""
    signed = (schema.metadata or {}).get(_RUN_ID_KEY, b"").decode("ascii", "replace")
    run_id, _, digits = signed.rpartition("-")
    return run_id if run_id and digits == _check_digits(run_id) else None


def _check_digits(run_id: str) -> str:
    return hashlib.sha256(run_id.encode("utf-8", "replace")).hexdigest()[:8]


def merged(earlier: pa.Schema, later: pa.Schema) -> pa.Schema:
    """The columns of both; where types disagree the earlier stands and `overflow_json` takes what does not fit."""
    both = {field.name: field.type for field in [*later, *earlier]}
    joined = _schema({name: both[name] for name in dict.fromkeys([*earlier.names, *later.names])})
    run_id = run_id_of(earlier) or run_id_of(later)
    return with_run_id(joined, run_id) if run_id else joined


def empty_frame(schema: pa.Schema) -> pd.DataFrame:
    """No rows, and the columns and types that a read of the table gives."""
    frame: pd.DataFrame = schema.empty_table().to_pandas()
    return frame


def _config_columns(kinds: Mapping[str, Kind]) -> dict[str, pa.DataType]:
    return {f"{CONFIG}{name}": _OF_KIND[kind] for name, kind in sorted(kinds.items())}


@cache
def _detail_columns() -> dict[str, pa.DataType]:
    hints = get_type_hints(TrialDetails)
    return {field.name: _OF_TYPE[_known_type(hints[field.name])] for field in fields(TrialDetails)}


def _known_type(hint: Any) -> type:
    """The type of `X` and of `X | None`."""
    known: type = next(one for one in get_args(hint) or (hint,) if one is not NoneType)
    return known


def _schema(columns: Mapping[str, pa.DataType]) -> pa.Schema:
    return _schema_of(tuple(columns.items()))


@lru_cache(maxsize=256)  # what pandas writes of a hundred columns takes it up to a tenth of a second
def _schema_of(columns: tuple[tuple[str, pa.DataType], ...]) -> pa.Schema:
    example = pd.DataFrame({name: pd.Series([], dtype=_PANDAS[one]) for name, one in columns})
    with warnings.catch_warnings():
        # pyarrow asks pandas for times in a way that pandas 4 will answer with another type.
        warnings.filterwarnings("ignore", message="Series.values returning", category=DeprecationWarning)
        metadata = pa.Schema.from_pandas(example, preserve_index=False).metadata
    metadata = {**metadata, _VERSION_KEY: str(SCHEMA_VERSION).encode()}
    return pa.schema([pa.field(name, one) for name, one in columns], metadata=metadata)
