"""Values that the rows of a damaged part have lost, from what other rows and tables say of the same trials."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.results.repair.rebuilt_rows import main_metric
from toprung.results.tables.rows import NOT_METRICS, Row, best_of
from toprung.results.tables.schema import CONFIG, OVERFLOW
from toprung.trainables.trial.bounds import VIOLATION
from toprung.trainables.trial.objectives import BETTER, Objective
from toprung.trainables.trial.trial_id import trial_id
from toprung.trainables.trial.trial_seed import seed_beside

if TYPE_CHECKING:
    from toprung.results.repair.found_table import FoundTable


def fill_seeds(proposals: FoundTable, trials: FoundTable) -> None:
    """Fill the seeds that are lost: from the other table, or from those of other trials."""
    missing = proposals.column("seed").count(None)
    for one, other in ((proposals, trials), (trials, proposals)):
        one.fill("seed", other.by_trial("seed"))
    rows = list(zip(proposals.column("number"), proposals.column("seed"), strict=True))
    seeds = {number: seed for number, seed in rows if number is not None and seed is not None}
    lost = [number for number, seed in rows if number is not None and seed is None]
    proposals.fill("seed", {trial_id(number): seed_beside(number, seeds) for number in lost})
    filled = missing - proposals.column("seed").count(None)
    if filled and "seed" not in proposals.lost_values:
        proposals.lost.append(f"{proposals.name}: {filled} seeds, filled with what other rows know")


def fill_configurations(proposals: FoundTable, trials: FoundTable) -> None:
    """Fill what `proposals` or `trials` have lost of the configurations; rows without theirs are left out.

    Without `overflow_json` the row of a trial that has ended is kept, and that of another is not: a trial cannot go on
    without a part of its configuration.
    """
    for one, other in ((proposals, trials), (trials, proposals)):
        for name in [name for name in one.lost_values if _is_of_configuration(name)]:
            known = _known(other, name)
            one.fill(name, {key: known[key] for key in one.lost_values[name] & known.keys()})
            one.lost_values[name] -= known.keys()
    ended = {*trials.column("trial_id")}
    for table in (proposals, trials):
        incomplete = {
            key
            for name, lost in table.lost_values.items()
            for key in lost
            if name.startswith(CONFIG) or (name == OVERFLOW and key not in ended)
        }
        wanted = np.array([key not in incomplete for key in table.column("trial_id")], bool)
        table.keep(wanted, "without their whole configuration")


def _is_of_configuration(column: str) -> bool:
    return column.startswith(CONFIG) or column == OVERFLOW


def _known(table: FoundTable, column: str) -> dict[str, Any]:
    """The values of a column by trial, where it was not lost; of `overflow_json` what belongs to the configuration."""
    if table.rows is None or column not in table.rows.schema.names:
        return {}
    lost = table.lost_values.get(column, set())
    known = {key: value for key, value in table.by_trial(column).items() if key not in lost}
    return {key: _of_configuration(text) for key, text in known.items()} if column == OVERFLOW else known


def _of_configuration(overflow: str | None) -> str | None:
    try:
        values = json.loads(overflow or "{}")
    except ValueError:
        return None
    exact = {name: value for name, value in values.items() if name.startswith(CONFIG)}
    return json.dumps(exact) if exact else None


def fill_best_values(trials: FoundTable, epochs: FoundTable) -> None:
    """Fill what `trials` have lost of the best and the last value, and of others at the best epoch, from `epochs`."""
    metric = main_metric(() if trials.rows is None else trials.rows.schema.names)
    if metric is None or metric not in BETTER or epochs.rows is None:
        return
    measured = {*epochs.rows.schema.names} - (NOT_METRICS - {VIOLATION})
    rows: dict[Any, dict[Any, Row]] = defaultdict(dict)
    for row in epochs.rows.to_pylist():
        rows[row["trial_id"]][row["epoch"]] = row
    objective, lost_epochs = Objective.named(metric), trials.lost_values.get("best_epoch", set())
    trials.fill("best_epoch", {key: _best_epoch([*rows[key].values()], objective) for key in lost_epochs})
    at_best, at_last = trials.by_trial("best_epoch"), trials.by_trial("last_epoch")
    for column, lost in trials.lost_values.items():
        name = metric if column in (f"best_{metric}", f"last_{metric}") else column
        epoch_of = at_last if column == f"last_{metric}" else at_best
        if name in measured:
            trials.fill(column, {key: rows[key].get(epoch_of.get(key), {}).get(name) for key in lost})


def _best_epoch(rows: list[Row], objective: Objective) -> int | None:
    """The epoch with the best finite value of those that are least beyond the bounds."""
    violations = [math.inf if row.get(VIOLATION) is None else float(row[VIOLATION]) for row in rows]
    least = min((one for one in violations if not math.isnan(one)), default=math.nan)
    within = [row for row, violation in zip(rows, violations, strict=True) if violation == least]
    best = best_of(((row.get(objective.metric), row["epoch"]) for row in within), objective)
    return None if best is None else best.epoch
