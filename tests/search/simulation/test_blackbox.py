"""The tables of a finished run as learning curves."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from toprung.results.tables.rows import rows_table, trial_row
from toprung.results.tables.schema import kinds_of, trials_schema
from toprung.results.tables.trial_details import TrialDetails
from toprung.search.simulation.blackbox import TableBlackbox
from toprung.trainables.trial.report import Outcome


def line(trial: Any) -> dict[str, Any]:
    return {"x": trial.suggest_float("x", 0.0, 1.0)}


def test_a_finished_run_is_a_blackbox() -> None:
    epochs = pd.DataFrame(
        [
            {"trial_id": f"t0000{number}", "epoch": epoch, "val_accuracy": height * epoch, "epoch_secs": 2.0}
            for number, (height, length) in enumerate([(0.1, 4), (0.2, 4), (0.05, 2)])
            for epoch in range(1, length + 1)
        ]
    )
    trials = pd.DataFrame(
        {
            "trial_id": ["t00000", "t00001", "t00002"],
            "config/rate": [0.1, 0.01, 0.001],
            "config/family": ["wide", "wide", "deep"],
        }
    )
    box = TableBlackbox.from_tables(line, epochs, trials)
    values, elapsed = box.curve({"rate": 0.02, "family": "wide"})
    assert values.tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert elapsed.tolist() == [2.0, 4.0, 6.0, 8.0]
    # The trial that stopped after two epochs goes on by the average gain of the two that went further, 0.15 an epoch.
    assert box.curve({"rate": 0.001, "family": "deep"})[0].tolist() == pytest.approx([0.05, 0.1, 0.25, 0.4])


def test_choices_of_several_types_are_distinguished() -> None:
    """They do not fit one column, and are stored in `overflow_json`; None is a choice like any other."""
    configs: list[dict[str, Any]] = [{"depth": "all"}, {"depth": 1}, {"depth": None}]
    rows = [
        trial_row(f"t{number:05d}", config, Outcome.COMPLETED, [], TrialDetails())
        for number, config in enumerate(configs)
    ]
    trials = rows_table(rows, trials_schema(kinds_of(configs))).to_pandas()
    epochs = pd.DataFrame(
        {"trial_id": trials["trial_id"], "epoch": 1, "val_accuracy": [0.1, 0.2, 0.3], "epoch_secs": 1.0}
    )
    box = TableBlackbox.from_tables(line, epochs, trials)
    assert [float(box.curve(config)[0][0]) for config in configs] == [0.1, 0.2, 0.3]


def test_a_run_is_not_taken_to_find_what_it_has_not_seen() -> None:
    lengths = {"t00000": (0.9, 4), "t00001": (0.85, 1)}
    epochs = pd.DataFrame(
        [
            {"trial_id": name, "epoch": epoch, "val_accuracy": min(last, 0.3 * epoch), "epoch_secs": 1.0}
            for name, (last, length) in lengths.items()
            for epoch in range(1, length + 1)
        ]
    )
    epochs.loc[epochs["trial_id"] == "t00001", "val_accuracy"] = 0.85
    trials = pd.DataFrame({"trial_id": list(lengths), "config/rate": [0.1, 0.001]})
    values, _ = TableBlackbox.from_tables(line, epochs, trials).curve({"rate": 0.001})
    assert values.tolist() == pytest.approx([0.85, 0.9, 0.9, 0.9])


def test_an_empty_run_says_that_there_is_nothing_to_simulate_from() -> None:
    empty = pd.DataFrame({"trial_id": [], "epoch": [], "val_accuracy": [], "epoch_secs": []})
    with pytest.raises(ValueError, match="no epoch of any trial"):
        TableBlackbox.from_tables(line, empty, pd.DataFrame({"trial_id": []}))


def test_a_trial_that_diverged_stays_not_a_number() -> None:
    epochs = pd.DataFrame(
        {
            "trial_id": ["t00000", "t00000", "t00001", "t00001"],
            "epoch": [1, 2, 1, 2],
            "val_accuracy": [0.5, 0.6, 0.5, float("nan")],
            "epoch_secs": 1.0,
        }
    )
    trials = pd.DataFrame({"trial_id": ["t00000", "t00001"], "config/rate": [0.1, 0.001]})
    box = TableBlackbox.from_tables(line, epochs, trials, max_epochs=4)
    values, elapsed = box.curve({"rate": 0.001})
    assert values.tolist() == pytest.approx([0.5, *[float("nan")] * 3], nan_ok=True)
    assert elapsed.tolist() == [1.0, 2.0, 3.0, 4.0]
