"""What the importance model learns from: the parameters of the space, and the results at the rungs, from the tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from toprung.results.analysis.importance.joint_model import RungResults
from toprung.results.analysis.importance.parameter import Parameter
from toprung.results.tables.rows import configs_of, suggested_of
from toprung.results.tables.schema import CONFIG
from toprung.spaces.definition.conditions import Condition

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_TRIALS = 600  # the others add seconds and hardly change the ranking


def searched_parameters(space: pd.DataFrame) -> list[Parameter]:
    """The parameters of the table `space` that leave a choice."""
    rows = space[space["kind"].isin(["float", "int", "categorical"])].drop_duplicates("name", keep="last")
    return [_parameter({str(key): value for key, value in row.items()}) for row in rows.to_dict("records")]


def rung_epochs_of(rungs: pd.DataFrame) -> list[int]:
    """The epochs of the rungs that have results, lowest first."""
    return sorted(map(int, rungs["rung_epoch"].unique()))


def active_params(proposals: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """By trial id, the parameters that the space suggested for it and those that are constant: no inactive ones."""
    inactive = _null_columns(proposals)
    suggested = suggested_of(proposals)
    return {
        name: {key: value for key, value in config.items() if key not in inactive[name]}
        | suggested.get(name, {})
        for name, config in configs_of(proposals).items()
    }


def rung_results(
    proposals: pd.DataFrame, epochs: pd.DataFrame, rung_epochs: Sequence[int], metric: str
) -> RungResults:
    """The finite values of a metric at the rungs; of more than MOST_TRIALS trials, those of so many, spread evenly."""
    rows = epochs[epochs["epoch"].isin(list(rung_epochs))].drop_duplicates(["trial_id", "epoch"])
    rows = rows[np.isfinite(rows[metric].to_numpy(dtype=float, na_value=np.nan))]
    names = np.sort(rows["trial_id"].unique())
    chosen = names[np.linspace(0, len(names) - 1, min(len(names), MOST_TRIALS)).astype(int)]
    params = active_params(proposals[proposals["trial_id"].isin(chosen)])
    rows = rows[rows["trial_id"].isin(params.keys())]
    return RungResults(
        configs=[params[name] for name in rows["trial_id"]],
        trials=rows["trial_id"].str[1:].astype(int).to_numpy(),
        epochs=rows["epoch"].to_numpy(dtype=np.int64),
        values=rows[metric].to_numpy(dtype=float),
    )


def _parameter(row: dict[str, Any]) -> Parameter:
    condition = Condition.parse(row["condition"] if isinstance(row["condition"], str) else None)
    if row["kind"] == "categorical":
        choices = tuple(json.loads(row["choices"]))
        return Parameter(row["name"], 0.0, len(choices) - 1.0, choices=choices, condition=condition)
    is_log = False if pd.isna(row["log"]) else bool(row["log"])
    low, high = float(row["low"]), float(row["high"])
    return Parameter(row["name"], low, high, is_log, row["kind"] == "int", condition=condition)


def _null_columns(proposals: pd.DataFrame) -> dict[str, set[str]]:
    """By trial id, the names whose column is null, among which are the parameters that are inactive in the trial."""
    columns = [str(name) for name in proposals.columns if str(name).startswith(CONFIG)]
    names = np.array([name.removeprefix(CONFIG) for name in columns])
    missing = proposals[columns].isna().to_numpy()
    return {name: set(names[row]) for name, row in zip(proposals["trial_id"], missing, strict=True)}
