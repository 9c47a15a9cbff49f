"""The rungs of a search as they are now: one row for each, from the decisions in the table `rungs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = (
    "rung_epoch",
    "results",
    "passed",
    "threshold",
    "next_rank_correlation",
    "last_rank_correlation",
    "in_use",
    "since",
)


def rung_table(rungs: pd.DataFrame) -> pd.DataFrame:
    """One row for each rung that has results, lowest first.

    `threshold` is the value that the next result needs; `in_use` whether trials are stopped there, and `since` when
    that is so, null for from the start.
    """
    if rungs.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    ordered = rungs.sort_values("event_index", kind="stable")
    latest = ordered.drop_duplicates("rung_epoch", keep="last").sort_values("rung_epoch")
    first_rungs = ordered["first_rung_epoch"].to_numpy()
    moments = ordered["decided_at"].to_list()
    in_use = [bool(epoch >= first_rungs[-1]) for epoch in latest["rung_epoch"]]
    since = [_since(first_rungs <= epoch, moments) for epoch in latest["rung_epoch"]]
    table = latest.assign(
        in_use=in_use, since=pd.Series(since, index=latest.index, dtype=ordered["decided_at"].dtype)
    )
    return table[list(COLUMNS)].reset_index(drop=True)


def _since(states: Sequence[bool], moments: Sequence[pd.Timestamp]) -> pd.Timestamp | None:
    """The moment of the first event of the last stretch of equal states; None where it is the only one."""
    now = states[-1]
    others = [i for i, state in enumerate(states) if state != now]
    return moments[others[-1] + 1] if others else None
