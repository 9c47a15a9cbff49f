"""The columns of the three append-only tables: proposals, epochs, trials.

Every part of a run has the same full schema, known before the first row: `pandas.read_parquet("RUN/trials")`
takes its columns from the first file alone, so a conditional parameter that first appears in a later part
would be lost. A value that its column cannot hold exactly, its type included, goes, as JSON, to the column
`overflow_json`;
nothing is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import pyarrow as pa

from toprung.spaces.definition.plain_values import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Kind = Literal["int", "float", "bool", "str"]
PROPOSALS, EPOCHS, TRIALS = "proposals", "epochs", "trials"


TABLES = (PROPOSALS, EPOCHS, TRIALS)
"""In the order they are written: an epoch on disk has its proposal, an ended trial has all its epochs."""
CONFIG = "config/"
SUGGESTED = "suggested/"
EXTRA = "overflow_json"
METRICS = ("val_accuracy", "val_loss", "train_accuracy", "train_loss", "learning_rate", "images_per_sec")


SECONDS = (
    "overhead_secs",
    "worker_startup_secs",
    "build_secs",
    "compile_secs",
    "trial_setup_secs",
    "checkpoint_secs",
    "idle_secs",
)


TRAINING_SECONDS = ("input_wait_secs", "validation_secs")
"""Parts of a trial's `train_secs`; SECONDS are spent beside it, the first is the sum of the others."""
_INT, _FLOAT, _BOOL, _STR = pa.int64(), pa.float64(), pa.bool_(), pa.string()
_TIME = pa.timestamp("us", tz="UTC")
_OF_KIND = {"int": _INT, "float": _FLOAT, "bool": _BOOL, "str": _STR}


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

    A parameter of the space that is no entry of the configuration under its own name stands, as SUGGESTED, in
    `overflow_json`.
    """
    head = {"trial_id": _STR, "number": _INT, "seed": _INT, "proposal_reason": _STR, "proposed_at": _TIME}
    head["data_fingerprint"] = _STR
    return _schema({**head, **_config_columns(kinds), EXTRA: _STR})


def epochs_schema(metrics: Iterable[str] = ()) -> pa.Schema:
    """One row for each epoch reported; `arrival_index` is the order of arrival over the run and survives resume.

    `metrics` adds columns to the standard ones. A NaN metric stays NaN; null means that it was not measured.
    """
    head = {"trial_id": _STR, "epoch": _INT, "arrival_index": _INT}
    values = dict.fromkeys([*METRICS, *metrics], _FLOAT)
    seconds = {"epoch_secs": _FLOAT, "elapsed_secs": _FLOAT}
    tail = {"decision": _STR, "search_note": _STR, "reported_at": _TIME, EXTRA: _STR}
    return _schema({**head, **values, **seconds, **tail})


def trials_schema(
    kinds: Mapping[str, Kind], metric: str = "val_accuracy", secondary_objectives: Iterable[str] = ()
) -> pa.Schema:
    """One row for each trial that has ended; `best_` and `last_` stand before the objective `metric`.

    `secondary_objectives` are the objectives beside it, each a column of its value at best_epoch.
    """
    measured = {f"best_{metric}": _FLOAT, "best_epoch": _INT, f"last_{metric}": _FLOAT, "last_epoch": _INT}
    measured.update(
        dict.fromkeys((name for name in secondary_objectives if name != "parameter_count"), _FLOAT)
    )
    seconds = dict.fromkeys(["train_secs", *TRAINING_SECONDS, *SECONDS], _FLOAT)
    head = {"trial_id": _STR, "number": _INT, "outcome": _STR, "reason": _STR, **_config_columns(kinds)}
    memory = {
        "rss_bytes": _INT,
        "device_bytes": _INT,
        "failed_allocation_bytes": _INT,
        "worker_recycled": _BOOL,
    }
    computed = {
        "device": _STR,
        "precision": _STR,
        "xla": _BOOL,
        "steps_per_call": _INT,
        "micro_batch_size": _INT,
    }
    machine = {
        "worker_node": _STR,
        "worker_pid": _INT,
        "cpus": _FLOAT,
        "gpus": _FLOAT,
        **computed,
        **memory,
    }
    origin = {
        "parameter_count": _INT,
        "seed": _INT,
        "data_fingerprint": _STR,
        "checkpoint": _STR,
        "error": _STR,
    }
    times = {"started_at": _TIME, "ended_at": _TIME, EXTRA: _STR}
    return _schema({**head, **measured, "highest_rung_epoch": _INT, **seconds, **machine, **origin, **times})


def run_schemas(
    kinds: Mapping[str, Kind],
    metric: str = "val_accuracy",
    metrics: Iterable[str] = (),
    secondary_objectives: Sequence[str] = (),
) -> dict[str, pa.Schema]:
    """The schemas of a run by table name, in writing order.

    `metrics` are beyond the standard ones, `secondary_objectives` the objectives beside `metric`.
    """
    measured = dict.fromkeys([metric, *metrics, *secondary_objectives])
    return {
        PROPOSALS: proposals_schema(kinds),
        EPOCHS: epochs_schema(measured),
        TRIALS: trials_schema(kinds, metric, secondary_objectives),
    }


def merged(earlier: pa.Schema, later: pa.Schema) -> pa.Schema:
    """The columns of both; where types disagree the earlier stands and `overflow_json` takes what does not fit."""
    both = {field.name: field.type for field in [*later, *earlier]}
    return _schema({name: both[name] for name in dict.fromkeys([*earlier.names, *later.names])})


def empty_frame(schema: pa.Schema) -> pd.DataFrame:
    """No rows, and the columns and types that a read of the table gives."""
    frame: pd.DataFrame = schema.empty_table().to_pandas()
    return frame


def _config_columns(kinds: Mapping[str, Kind]) -> dict[str, pa.DataType]:
    return {f"{CONFIG}{name}": _OF_KIND[kind] for name, kind in sorted(kinds.items())}


def _schema(columns: Mapping[str, pa.DataType]) -> pa.Schema:
    example = pd.DataFrame({name: pd.Series([], dtype=_PANDAS[kind]) for name, kind in columns.items()})
    metadata = pa.Schema.from_pandas(example, preserve_index=False).metadata
    return pa.schema([pa.field(name, kind) for name, kind in columns.items()], metadata=metadata)
