"""The winner of a search: chosen by validation only, its value never without the epoch it was measured at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from toprung.results.analysis.bounds_kept import keeps_bounds, violations
from toprung.results.analysis.confirmation import mean_difference
from toprung.results.analysis.leaderboard import leaderboard, may_win
from toprung.results.analysis.learning_curve import curve_of, steady_epoch
from toprung.results.tables.rows import config_of
from toprung.spaces.errors import InputError
from toprung.trainables.trial.bounds import VIOLATION
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.trial.report import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.results.analysis.confirmation import ConfirmedMean
    from toprung.trainables.trial.objectives import Objective


@dataclass(frozen=True)
class Winner:
    """The configuration to retrain: `score` is the objective `metric` on validation, measured at `epoch`.

    `seed` is the trial's own, None when not recorded; `last_epoch` is the last one the trial trained, `train_epochs`
    the one up to which to train again: where its smoothed curve is best. Where the best were trained with new
    seeds, score and epochs are of these trainings and `confirmed` holds them all, best first.
    """

    trial_id: str
    config: Mapping[str, Any]
    seed: int | None
    metric: str
    score: float
    epoch: int
    last_epoch: int
    train_epochs: int
    outcome: Outcome
    why: str
    runner_up: str | None
    """The trial id of the next best, None when no other trial has a finite value."""
    runner_up_score: float | None
    confirmed: tuple[ConfirmedMean, ...] = ()


def pick_winner(
    trials: pd.DataFrame, epochs: pd.DataFrame, objective: Objective, trial_id: str | None = None
) -> Winner:
    """The ended trial with the best finite value at any epoch, or the one that the user chose, `trial_id`.

    Ties are broken as in the leaderboard. NaN and infinite values never count, and trials that diverged, ran out of
    memory or failed cannot win: a retraining would end in the same way.

    Raises:
        InputError: No trial is left, or the chosen one cannot win.
    """
    ranked = eligible(trials, epochs, objective, trial_id)
    metric, first = objective.metric, ranked.iloc[0]
    second = ranked.iloc[1] if len(ranked) > 1 else None
    row = _row_of(str(first["trial_id"]), trials)
    by_rank, by_name = _why(first, second, len(ranked), metric), _why_chosen(first, len(ranked), metric)
    return Winner(
        trial_id=row["trial_id"],
        config=config_of(row),
        seed=_seed_in(row),
        metric=metric,
        score=float(first[metric]),
        epoch=int(first["best_epoch"]),
        last_epoch=int(first["last_epoch"]),
        train_epochs=_train_epochs(first, epochs, objective),
        outcome=Outcome(first["outcome"]),
        why=by_rank if trial_id is None else by_name,
        runner_up=None if second is None else str(second["trial_id"]),
        runner_up_score=None if second is None else float(second[metric]),
    )


def confirmed_winner(
    winner: Winner, trials: pd.DataFrame, means: Sequence[ConfirmedMean], objective: Objective
) -> Winner:
    """The winner by trainings with new seeds, instead of the search's own; `means` are best first."""
    first, *rest = means
    row = _row_of(first.trial_id, trials)
    return replace(
        winner,
        trial_id=first.trial_id,
        config=config_of(row),
        seed=_seed_in(row),
        score=first.score,
        epoch=first.epoch,
        last_epoch=int(row["last_epoch"]),
        train_epochs=first.epoch,
        outcome=Outcome(row["outcome"]),
        why=_why_confirmed(first, rest, objective),
        runner_up=rest[0].trial_id if rest else None,
        runner_up_score=rest[0].score if rest else None,
        confirmed=tuple(means),
    )


def eligible(
    trials: pd.DataFrame, epochs: pd.DataFrame, objective: Objective, trial_id: str | None = None
) -> pd.DataFrame:
    """As `rank_trials`, the one that the user chose first; raises InputError as `pick_winner` does."""
    ranked = rank_trials(trials, epochs, objective)
    if ranked.empty:
        raise _nothing_to_choose(trials, objective.metric)
    return ranked if trial_id is None else _chosen_first(ranked, trial_id)


def rank_trials(trials: pd.DataFrame, epochs: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """The leaderboard of the ended trials that may win, best first; those beyond the bounds may not."""
    board = leaderboard(trials, epochs, trials, Objectives((objective,)))
    may = board[objective.metric].notna() & may_win(board["outcome"]) & keeps_bounds(board)
    return board[may].reset_index(drop=True)


def _row_of(trial_id: str, trials: pd.DataFrame) -> dict[str, Any]:
    row = trials[trials["trial_id"] == trial_id].iloc[-1]
    return {str(name): value for name, value in row.items()}


def _seed_in(row: Mapping[str, Any]) -> int | None:
    return None if pd.isna(row["seed"]) else int(row["seed"])


def lead_over(difference: float, other: str) -> str:
    """How far a score is ahead of that of another trial, in words."""
    ahead = f"{difference:.4f}"
    return f"{ahead} ahead of {other}" if float(ahead) else f"level with {other}"


def _why(first: pd.Series[Any], second: pd.Series[Any] | None, count: int, metric: str) -> str:
    measured = f"{metric} {first[metric]:.4f} at epoch {int(first['best_epoch'])}"
    if second is None:
        return f"{measured}: the only trial with a finite value"
    ahead = lead_over(abs(first[metric] - second[metric]), second["trial_id"])
    other = f"{second[metric]:.4f} at epoch {int(second['best_epoch'])}"
    return f"best of {count} trials: {measured}, {ahead} ({other})"


def _train_epochs(first: pd.Series[Any], epochs: pd.DataFrame, objective: Objective) -> int:
    own = epochs[epochs["trial_id"] == first["trial_id"]]
    curve = curve_of(epochs, str(first["trial_id"]), objective.metric)
    # A curve that a repair has left gaps in has no neighbours to average over. The smoothed curve knows nothing of
    # bounds: where some epochs break one, the best of the others is meant.
    is_whole = own["epoch"].nunique() == own["epoch"].max()
    smooth = bool(curve) and is_whole and keeps_bounds(own).all()
    return steady_epoch(curve, objective) if smooth else int(first["best_epoch"])


def _why_confirmed(first: ConfirmedMean, rest: Sequence[ConfirmedMean], objective: Objective) -> str:
    mean = f"{objective.metric} {first.score:.4f} over {first.seeds} {_repeats(first)} at epoch {first.epoch}"
    if not rest:
        return f"{mean}, {first.low:.4f} to {first.high:.4f} with 95% confidence"
    ahead = mean_difference(first, rest[0], objective)
    doubt = "" if ahead.is_clear else f"; by chance it may be up to {-ahead.low:.4f} behind"
    lead = lead_over(ahead.difference, rest[0].trial_id)
    return f"best of {1 + len(rest)} confirmed: {mean}, {lead}{doubt}"


def _repeats(mean: ConfirmedMean) -> str:
    return mean.repeats if mean.repeats == "folds" else f"new {mean.repeats}"


def _chosen_first(ranked: pd.DataFrame, trial_id: str) -> pd.DataFrame:
    is_chosen = ranked["trial_id"] == trial_id
    if not is_chosen.any():
        best = ", ".join(ranked["trial_id"].head(5))
        within = " within search.constraints" if VIOLATION in ranked else ""
        rule = f"must be a trial that ended well{within}, such as {best}"
        raise InputError.single("--trial", repr(trial_id), rule)
    return pd.concat([ranked[is_chosen], ranked[~is_chosen]], ignore_index=True)


def _why_chosen(chosen: pd.Series[Any], count: int, metric: str) -> str:
    measured = f"{metric} {chosen[metric]:.4f} at epoch {int(chosen['best_epoch'])}"
    return f"chosen by its name, rank {int(chosen['rank'])} of {count} trials: {measured}"


def _nothing_to_choose(trials: pd.DataFrame, metric: str) -> InputError:
    counts = trials["outcome"].value_counts().sort_index()
    ended = ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "none has ended"
    if not keeps_bounds(trials).all():
        beyond = trials[~keeps_bounds(trials)]
        nearest = beyond.iloc[int(violations(beyond).argmin())]
        miss = f"the nearest is {nearest['trial_id']}, {nearest[VIOLATION]:.1%} beyond them"
        given = f"no trial with a finite {metric} keeps search.constraints ({ended}); {miss}"
        return InputError.single("RUN", given, "continue the search, or search within wider bounds")
    return InputError.single(
        "RUN", f"no trial has a finite {metric} to choose from ({ended})", "continue the search first"
    )
