"""`toprung table`: the trials or the epochs of a run, filtered, sorted and with the columns that are asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from toprung.results.analysis.leaderboard import as_of_now, leaderboard, without_empty
from toprung.results.analysis.render import Format, write
from toprung.results.tables.parts import read_tables
from toprung.results.tables.run_lock import present_holder
from toprung.results.tables.schema import CONFIG, OVERFLOW, RUN
from toprung.search.driver.failed_trials import failure_summary
from toprung.spaces.errors import InputError, name_rule

if TYPE_CHECKING:
    from toprung.search.runs.run_folder import RunFolder

EPOCH_COLUMNS = (
    "trial_id",
    "epoch",
    "val_accuracy",
    "val_loss",
    "train_accuracy",
    "train_loss",
    "learning_rate",
    "epoch_secs",
    "decision",
)


@dataclass(frozen=True)
class TableQuery:
    """Which rows and columns of a table to show.

    Attributes:
        top: How many rows at most; None for all.
        layout: How they are written.
        epochs: Every epoch instead of every trial.
        pareto: Only trials that no other beats in every objective.
        where: A condition on columns, as in `outcome == 'COMPLETED' and best_epoch > 3`; empty for none.
        sort: A column, with - in front from the largest; empty for the table's own order.
        columns: Names of columns; empty for the table's own.
    """

    top: int | None = None
    layout: Format = "rich"
    epochs: bool = False
    pareto: bool = False
    where: str = ""
    sort: str = ""
    columns: tuple[str, ...] = ()


def show_table(folder: RunFolder, query: TableQuery) -> None:
    """Print the trials, best first, or every epoch in order of arrival.

    Raises:
        InputError: A column is not there, the condition is none, or `pareto` is asked of one objective.
    """
    job = folder.job()
    objectives = job.search.optimized
    if query.pareto and not objectives.secondary:
        raise InputError.single(
            "--pareto", f"{job.name} has one objective", "search.objectives names several"
        )
    proposals, epochs, trials = read_tables(folder.root)
    board = as_of_now(
        leaderboard(proposals, epochs, trials, objectives), present_holder(folder.root) is not None
    )
    whole = epochs.sort_values("arrival_index") if query.epochs else _with_details(board, trials)
    if query.pareto:
        whole = whole[whole["trial_id"].isin(board.loc[board["pareto"], "trial_id"])]
    chosen = sorted_by(filtered(whole, query.where), query.sort)
    shown = chosen[_columns(chosen, query, list(epochs.columns if query.epochs else board.columns))]
    write(shown.head(len(shown) if query.top is None else query.top), query.layout)
    if query.layout == "rich" and (failed := failure_summary(trials)):
        print(f"failed     {failed}")


def filtered(frame: pd.DataFrame, condition: str) -> pd.DataFrame:
    """The rows that meet a condition on columns; parameters may be named without `config/`.

    Raises:
        InputError: The condition is none, or names a column that is not there.
    """
    if not condition.strip():
        return frame
    known = {column_named(frame, name): name for name in _short_names(frame)}
    by_short = frame.rename(columns={column: short for column, short in known.items() if column is not None})
    quoted = re.sub(rf"`?(?<!\w){CONFIG}(\w+)`?", r"`\1`", condition)
    allowed = "must be a condition on columns, such as \"outcome == 'COMPLETED' and best_epoch > 3\""
    if "@" in condition or "__" in condition:
        raise InputError.single("--where", repr(condition), allowed)
    try:
        met = by_short.eval(quoted, engine="python")
    except pd.errors.UndefinedVariableError as error:
        (name,) = re.findall("'(.*)'", str(error))
        raise InputError.single(
            "--where",
            f"{condition!r}: there is no {name!r}",
            f"must name columns; {name_rule(name, map(str, by_short.columns))}",
        ) from None
    except Exception as error:  # whatever pandas finds wrong with a text
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError.single("--where", f"{condition!r} ({reason})", allowed) from None
    if not isinstance(met, pd.Series) or not pd.api.types.is_bool_dtype(met.dtype):
        raise InputError.single("--where", f"{condition!r} is no condition", allowed)
    return frame[met.fillna(False).to_numpy(dtype=bool)]


def sorted_by(frame: pd.DataFrame, order: str) -> pd.DataFrame:
    """The rows sorted by a column, with - in front from the largest; those without a value last."""
    if not order:
        return frame
    column = _existing(frame, order.removeprefix("-"), "--sort")
    keys = frame[column] if pd.api.types.is_numeric_dtype(frame[column]) else frame[column].astype("string")
    return frame.loc[
        keys.sort_values(ascending=not order.startswith("-"), kind="stable", na_position="last").index
    ]


def column_named(frame: pd.DataFrame, name: str) -> str | None:
    """The column of this name, or of this parameter; None where there is none."""
    return next((one for one in (name, f"{CONFIG}{name}") if one in frame.columns), None)


def _columns(frame: pd.DataFrame, query: TableQuery, own: list[str]) -> list[str]:
    if query.columns:
        return [_existing(frame, name, "--columns") for name in query.columns]
    if query.layout not in ("rich", "markdown"):
        return [name for name in own if name != OVERFLOW]
    if query.epochs:
        notes = ["search_note"] if frame["search_note"].notna().any() else []
        return [name for name in (*EPOCH_COLUMNS, *notes) if name in frame.columns]
    kept = list(without_empty(frame[own]).columns)
    return [name for name in own if (name in kept or not name.startswith(CONFIG)) and name != RUN]


def _with_details(board: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """The leaderboard with the other columns of the table `trials`, for filters and `--columns`."""
    more = [name for name in trials.columns if name not in board.columns]
    ended = trials.drop_duplicates("trial_id", keep="last")[["trial_id", *more]]
    return board.merge(ended, how="left", on="trial_id")


def _existing(frame: pd.DataFrame, name: str, option: str) -> str:
    column = column_named(frame, name)
    if column is None:
        raise InputError.single(
            option, repr(name), f"must be a column; {name_rule(name, _short_names(frame))}"
        )
    return column


def _short_names(frame: pd.DataFrame) -> list[str]:
    """The columns, parameters without `config/` where no other column has that name."""
    names = [str(name) for name in frame.columns if name != OVERFLOW]
    short = [name.removeprefix(CONFIG) for name in names]
    return [one if short.count(one) == 1 else name for one, name in zip(short, names, strict=True)]
