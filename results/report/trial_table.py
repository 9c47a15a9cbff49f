"""The trial table of a page: columns of numbers as they are, columns of texts as words and the index of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from toprung.results.report.charts.chart import rounded
from toprung.results.tables.schema import CONFIG, OVERFLOW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from toprung.results.report.charts.run_view import RunView

MOST_AXES = 12
WORDS_MOST = 30  # more different texts than these make no axis


def trial_columns(view: RunView) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The columns of the table, best trial first, and by name the parameters that do not vary, with their value."""
    board = view.board.drop(columns=[OVERFLOW]).reset_index(drop=True)
    extra = view.trials.drop_duplicates("trial_id", keep="last").set_index("trial_id")
    kinds = view.proposals.drop_duplicates("trial_id").set_index("trial_id")["proposal_kind"]
    board["proposal_kind"] = board["trial_id"].map(kinds)
    board["worker_index"] = board["trial_id"].map(extra["worker_index"])
    board["reason"] = board["trial_id"].map(extra["reason"])
    constant = {
        name: board[name].iloc[0]
        for name in board
        if str(name).startswith(CONFIG) and _is_constant(board[name])
    }
    varying = [str(name) for name in board if name not in constant and board[name].notna().any()]
    parameters = _in_order_of_use(view, board, [name for name in varying if name.startswith(CONFIG)])
    first = next((i for i, name in enumerate(varying) if name.startswith(CONFIG)), len(varying))
    others = [name for name in varying if not name.startswith(CONFIG)]
    shown = [*others[:first], *parameters, *others[first:]]
    columns = [_column(name, board[name], view.metric) for name in shown]
    return columns, {str(name).removeprefix(CONFIG): value for name, value in constant.items()}


def parallel_axes(view: RunView, columns: Sequence[dict[str, Any]], important: Sequence[str]) -> list[str]:
    """The columns that are axes: the most important parameters, then the others, and the metric last.

    A parameter that fewer than half of the trials have would break most lines, and is none.
    """
    names = [
        one["name"]
        for one in columns
        if one["name"].startswith(CONFIG)
        and len(one.get("words", ())) <= WORDS_MOST
        and 2 * sum(value not in (None, -1) for value in one["values"]) >= len(one["values"])
    ]
    order = {f"{CONFIG}{name}": place for place, name in enumerate(important)}
    chosen = sorted(names, key=lambda name: order.get(name, len(order)))[:MOST_AXES]
    has_metric = any(one["name"] == view.metric for one in columns)
    return [*chosen, view.metric] if has_metric and chosen else []


def _in_order_of_use(view: RunView, board: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """The parameters that at least half of the trials have before the others, both in the order of the space."""
    place = {f"{CONFIG}{name}": i for i, name in enumerate(view.space["name"].drop_duplicates())}
    return sorted(
        names, key=lambda name: (board[name].notna().mean() < 0.5, place.get(name, len(place)), name)
    )


def _is_constant(values: pd.Series) -> bool:
    return len(values) > 1 and bool(values.notna().all()) and values.astype(str).nunique() == 1


def _column(name: str, values: pd.Series, metric: str) -> dict[str, Any]:
    head = {"name": name, "shown": True}
    is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if is_number:
        numbers = values.to_numpy(dtype=float, na_value=np.nan)
        return {**head, "values": rounded(numbers, 7 if name == metric else 5)}
    return {**head, **_worded(values), "whole": True}


def _worded(values: pd.Series) -> dict[str, Any]:
    texts = ["" if pd.isna(value) else str(value) for value in values]
    words = list(_distinct(texts))
    places = {word: place for place, word in enumerate(words)}
    return {"words": words, "values": [places.get(text, -1) for text in texts]}


def _distinct(texts: Sequence[str]) -> Iterator[str]:
    """The texts that occur, in order: those of an axis too."""
    yield from sorted({text for text in texts if text})
