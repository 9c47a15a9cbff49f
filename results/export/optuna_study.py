"""A run as an Optuna study, for optuna.visualization and optuna-dashboard: states, values by epoch, times, ranges."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from toprung.results.tables.rows import configs_of, suggested_of
from toprung.results.tables.schema import CONFIG
from toprung.trainables.trial.report import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from toprung.trainables.trial.objectives import Objectives

REASON_CHARS = 500


def distributions_of(space: pd.DataFrame) -> dict[str, BaseDistribution]:
    """The distributions of the table `space`, by parameter; constants have none."""
    rows = space.drop_duplicates("name", keep="last").to_dict("records")
    return {
        str(row["name"]): _distribution(row) for row in rows if row["kind"] in ("float", "int", "categorical")
    }


def frozen_trials(
    tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame], space: pd.DataFrame, objectives: Objectives
) -> Iterator[FrozenTrial]:
    """Each trial of the tables (proposals, epochs, trials) as Optuna has it, in the order of the numbers.

    A trial that was stopped is PRUNED with the value at its last epoch; one that cannot win, or whose values are not
    finite, FAIL; one that has not ended RUNNING. Parameters that are inactive are left out, as Optuna does.
    """
    proposals, epochs, trials = tables
    distributions = distributions_of(space)
    configs, suggested = configs_of(proposals), suggested_of(proposals)
    ended = trials.drop_duplicates("trial_id", keep="last").set_index("trial_id")
    reports = dict(
        iter(epochs.drop_duplicates(["trial_id", "epoch"]).sort_values("epoch").groupby("trial_id"))
    )
    for row in proposals.drop_duplicates("trial_id").sort_values("number").to_dict("records"):
        name = str(row["trial_id"])
        given = {**configs[name], **suggested.get(name, {})}
        active = {
            key: given[key]
            for key in distributions
            if key in given and not _is_inactive(row, key, suggested.get(name, {}))
        }
        fits = {
            key: value
            for key, value in active.items()
            if distributions[key]._contains(_internal(distributions[key], value))
        }
        end = {str(k): v for k, v in ended.loc[name].items()} if name in ended.index else {}
        chosen = {key: distributions[key] for key in fits}
        yield _frozen(int(row["number"]), row, fits, chosen, reports.get(name), end, objectives)


def write_study(study: Study, trials: Iterator[FrozenTrial]) -> int:
    """Add the trials to an empty study and return how many there are."""
    added = list(trials)
    study.add_trials(added)
    return len(added)


def _frozen(
    number: int,
    proposal: Mapping[Any, Any],
    params: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
    reports: pd.DataFrame | None,
    end: Mapping[str, Any],
    objectives: Objectives,
) -> FrozenTrial:
    from optuna.trial import FrozenTrial, TrialState

    main = objectives.main.metric
    steps = {} if reports is None else _finite(reports, main)
    last = None if reports is None else reports.iloc[-1]
    values = (
        None
        if last is None
        else [float(last[name]) if last[name] == last[name] else np.nan for name in objectives.metrics]
    )
    is_measured = values is not None and bool(np.isfinite(values).all())
    state = _state(end.get("outcome"), is_measured)
    has_value = state in (TrialState.COMPLETE, TrialState.PRUNED) and is_measured
    attributes = {key: end[key] for key in ("outcome", "reason") if isinstance(end.get(key), str)}
    attributes["proposal"] = str(proposal.get("proposal_reason") or "")
    return FrozenTrial(
        number=number,
        trial_id=-1,
        state=state,
        value=None,
        values=values if has_value else None,
        datetime_start=_local(proposal.get("proposed_at")),
        datetime_complete=_local(end.get("ended_at")) if end else None,
        params=dict(params),
        distributions=dict(distributions),
        user_attrs={
            key: text[:REASON_CHARS]
            for key, text in {"trial_id": str(proposal["trial_id"]), **attributes}.items()
        },
        system_attrs={},
        intermediate_values={} if objectives.secondary else steps,
    )


def _state(outcome: str | None, is_measured: bool) -> Any:
    from optuna.trial import TrialState

    if outcome is None:
        return TrialState.RUNNING
    if outcome == Outcome.COMPLETED and is_measured:
        return TrialState.COMPLETE
    if outcome in (Outcome.STOPPED, Outcome.PREEMPTED) and is_measured:
        return TrialState.PRUNED
    return TrialState.FAIL


def _distribution(row: Mapping[Any, Any]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if row["kind"] == "categorical":
        return CategoricalDistribution(tuple(json.loads(row["choices"])))
    is_log = False if pd.isna(row["log"]) else bool(row["log"])
    if row["kind"] == "int":
        return IntDistribution(
            int(row["low"]), int(row["high"]), log=is_log, step=1 if is_log else int(row["step"])
        )
    step = None if pd.isna(row["step"]) else float(row["step"])
    return FloatDistribution(float(row["low"]), float(row["high"]), log=is_log, step=step)


def _is_inactive(row: Mapping[Any, Any], name: str, suggested: Mapping[str, Any]) -> bool:
    column = f"{CONFIG}{name}"
    return name not in suggested and column in row and pd.isna(row[column])


def _internal(distribution: BaseDistribution, value: Any) -> float:
    try:
        return float(distribution.to_internal_repr(value))
    except (ValueError, TypeError):
        return float("nan")


def _finite(reports: pd.DataFrame, metric: str) -> dict[int, float]:
    values = zip(reports["epoch"], reports[metric], strict=True)
    return {int(epoch): float(value) for epoch, value in values if np.isfinite(value)}


def _local(moment: Any) -> datetime | None:
    """The moment as Optuna keeps moments: in local time, without a zone."""
    if moment is None or pd.isna(moment):
        return None
    aware: datetime = pd.Timestamp(moment).to_pydatetime()
    return aware.astimezone(UTC).astimezone().replace(tzinfo=None)
