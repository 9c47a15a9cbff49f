"""What goes into a row comes out of it: configurations exactly, values with their epochs, NaN as NaN."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from toprung.results.tables.parts import put_part
from toprung.results.tables.rows import (
    best_of,
    config_of,
    configs_of,
    epoch_row,
    proposal_row,
    reports_of,
    rows_table,
    trial_row,
)
from toprung.results.tables.schema import TABLES, kinds_of, merged, proposals_schema, run_schemas
from toprung.results.tables.space_rows import space_rows
from toprung.results.tables.trial_details import TrialDetails
from toprung.search.driver.rung_rows import rung_row
from toprung.search.strategy.strategy import Decision, RungDecision, RungEvent
from toprung.trainables.system.storage import Storage
from toprung.trainables.trial.objectives import Objective, Objectives
from toprung.trainables.trial.report import EpochReport, Outcome

if TYPE_CHECKING:
    from pathlib import Path

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
CONFIGS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c", "d/e"]), VALUES), min_size=1, max_size=5)


def typed(config: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    """Values with their types, which `==` does not see."""
    return {name: (type(value).__name__, value) for name, value in config.items()}


@given(known=CONFIGS, proposed=CONFIGS)
def test_a_configuration_comes_back_as_it_was_proposed(
    known: list[dict[str, Any]], proposed: list[dict[str, Any]]
) -> None:
    """Also with parameters and types that nobody expected when the columns were chosen."""
    kinds = kinds_of(known)
    rows = [proposal_row(f"t{number:05d}", config, seed=number) for number, config in enumerate(proposed)]
    frame = rows_table(rows, proposals_schema(kinds)).to_pandas()
    for number, config in enumerate(proposed):
        assert typed(configs_of(frame)[f"t{number:05d}"]) == typed(config)
        assert config_of(frame.iloc[number].to_dict()) == config


def test_kinds_are_those_of_the_values_seen() -> None:
    seen = [{"i": 1, "f": 1, "b": True, "s": "x", "m": "x"}, {"i": 2, "f": 0.5, "m": None}]
    assert kinds_of(seen) == {"i": "int", "f": "float", "b": "bool", "s": "str", "m": "str"}


def test_a_whole_number_among_floats_stays_one_and_its_column_shows_it() -> None:
    configs = [{"width": 1}, {"width": 0.5}]
    rows = [proposal_row(f"t{number:05d}", config, seed=0) for number, config in enumerate(configs)]
    frame = rows_table(rows, proposals_schema(kinds_of(configs))).to_pandas()
    assert [repr(config) for config in configs_of(frame).values()] == ["{'width': 1}", "{'width': 0.5}"]
    assert frame["config/width"].tolist() == [1.0, 0.5]


def test_numbers_of_numpy_have_the_kinds_of_plain_ones() -> None:
    seen = [{"i": np.int64(1), "f": np.float64(0.5), "b": np.bool_(True)}]
    assert kinds_of(seen) == {"i": "int", "f": "float", "b": "bool"}


def test_a_parameter_missing_from_the_first_part_is_read_with_plain_pandas(tmp_path: Path) -> None:
    schema = proposals_schema(kinds_of([{"a": 0.5}, {"momentum": 0.9, "blocks": 2}]))
    storage = Storage.at(tmp_path)
    for number, config in enumerate([{"a": 0.5}, {"a": 0.5, "momentum": 0.9, "blocks": 2**60 + 1}]):
        rows = rows_table([proposal_row(f"t{number:05d}", config, seed=0)], schema)
        put_part(storage, "proposals", f"part-00000{number}-aaaaaaaa.parquet", rows)
    frame = pd.read_parquet(tmp_path / "proposals")
    assert frame["config/momentum"].tolist()[1:] == [0.9]
    assert frame["config/blocks"].isna().tolist() == [True, False]
    assert frame["config/blocks"].iloc[1] == 2**60 + 1, "through a float it would have lost its last digits"


def test_nan_stays_nan_and_an_unmeasured_metric_is_null(tmp_path: Path) -> None:
    row = epoch_row(EpochReport("t00000", 1, {"val_accuracy": math.nan, "val_loss": math.inf}), 0, "stop")
    put_part(
        Storage.at(tmp_path), "epochs", "part-000000-a.parquet", rows_table([row], run_schemas({})["epochs"])
    )
    (held,) = pq.read_table(tmp_path / "epochs").to_pylist()
    assert math.isnan(held["val_accuracy"])
    assert held["val_loss"] == math.inf
    assert held["train_loss"] is None


def test_a_metric_without_a_column_is_kept_in_extra() -> None:
    row = epoch_row(EpochReport("t00000", 1, {"gpu_bytes": 5.0}), 0, "keep")
    assert (
        rows_table([row], run_schemas({})["epochs"]).to_pylist()[0]["overflow_json"] == '{"gpu_bytes": 5.0}'
    )
    own = run_schemas({}, metrics=["gpu_bytes"])["epochs"]
    assert rows_table([row], own).to_pylist()[0]["gpu_bytes"] == 5.0


METRICS = st.dictionaries(st.sampled_from(["val_accuracy", "train_loss", "gpu_bytes"]), st.floats())


@given(st.lists(st.builds(EpochReport, st.just("t00000"), st.integers(0, 99), METRICS, st.floats(0, 9))))
def test_reports_come_back_as_they_were_in_order_of_arrival(reports: list[EpochReport]) -> None:
    """NaN too, which says that a trial diverged and is not the same as a metric that was not measured."""
    rows = [epoch_row(report, sequence, "keep") for sequence, report in enumerate(reports)]
    back = reports_of(rows_table(rows[::-1], run_schemas({})["epochs"]))

    def facts(report: EpochReport) -> tuple[Any, ...]:
        return report.trial_id, report.epoch, repr(sorted(report.metrics.items())), report.epoch_secs

    assert [facts(report) for report in back] == [facts(report) for report in reports]


def test_a_trials_values_carry_their_epochs() -> None:
    values = [0.5, 0.75, 0.75, math.inf, math.nan]
    reports = [
        EpochReport("t00007", e, {"val_accuracy": v}, 1.5, 1.5 * e) for e, v in enumerate(values, start=1)
    ]
    facts = TrialDetails(seed=3, worker_startup_secs=2.0, idle_secs=0.5, error="x" * 9999 + "the end")
    row = trial_row("t00007", {"a": 1}, Outcome.DIVERGED, reports, facts)
    (held,) = rows_table([row], run_schemas({"a": "int"})["trials"]).to_pylist()
    assert (held["best_val_accuracy"], held["best_epoch"]) == (0.75, 2), "the earliest among equals"
    assert math.isnan(held["last_val_accuracy"])
    assert (held["last_epoch"], held["train_secs"], held["overhead_secs"]) == (5, 7.5, 2.5)
    assert held["error"].endswith("the end")
    assert len(held["error"]) == 4000


def test_a_trial_that_never_reported_has_no_values() -> None:
    row = trial_row("t00007", {"a": 1}, Outcome.FAILED, [], TrialDetails())
    (held,) = rows_table([row], run_schemas({"a": "int"})["trials"]).to_pylist()
    assert (held["best_val_accuracy"], held["best_epoch"], held["last_epoch"]) == (None, None, 0)
    assert held["overhead_secs"] is None


@given(
    st.lists(st.tuples(st.one_of(st.none(), st.floats()), st.integers(1, 99))),
    st.sampled_from(["min", "max"]),
)
def test_the_best_value_is_finite_and_no_other_is_better(
    values: list[tuple[float | None, int]], mode: str
) -> None:
    finite = [value for value, _ in values if value is not None and math.isfinite(value)]
    best = best_of(values, Objective("value", mode))
    assert (best is None) == (not finite)
    if best is not None:
        assert best.value == (min if mode == "min" else max)(finite)
        assert best.epoch == min(epoch for value, epoch in values if value == best.value)


def test_every_value_that_a_search_records_has_a_column() -> None:
    report = EpochReport("t00000", 1, {"val_accuracy": 0.5}, 1.0, 1.0)
    decided = RungDecision(Decision.KEEP, 1, 0.5, 0.5, 1, arrived=True)
    event = RungEvent(0, 1, decided, 1, 1, 0.5, 0.5)
    rows = {
        "space": space_rows(lambda trial: {"a": trial.suggest_int("a", 0, 1)})[0],
        "proposals": proposal_row("t00000", {"a": 1}, 0, "random", data_fingerprint="f"),
        "epochs": epoch_row(report, 0, "keep", note="a rung misleads"),
        "rungs": rung_row(event, 0, Objectives.named(["val_accuracy"])),
        "trials": trial_row(
            "t00000", {"a": 1}, Outcome.STOPPED, [report], TrialDetails(highest_rung_epoch=1)
        ),
    }
    for table in TABLES:
        schema = run_schemas({"a": "int"})[table]
        assert rows[table].keys() <= set(schema.names)
        assert rows_table([rows[table]], schema)["overflow_json"].to_pylist() == [None]


def test_an_extended_space_widens_the_columns_and_keeps_their_types() -> None:
    widened = merged(proposals_schema({"a": "int"}), proposals_schema({"a": "float", "b": "bool"}))
    assert {name: str(widened.field(name).type) for name in ("config/a", "config/b")} == {
        "config/a": "int64",
        "config/b": "bool",
    }
