"""The trials of a search that failed: which, how many, and the commonest reasons."""

from __future__ import annotations

from collections import Counter
from textwrap import shorten
from typing import TYPE_CHECKING

from toprung.trainables.trial.report import Outcome

if TYPE_CHECKING:
    import pandas as pd

REASON_CHARS = 300
REASONS_NAMED = 2


def failed_trials(trials: pd.DataFrame) -> list[str]:
    """The trials that raised an error, which may not be so once the code is mended."""
    return [str(name) for name in trials.loc[trials["outcome"] == Outcome.FAILED, "trial_id"]]


def failure_summary(trials: pd.DataFrame) -> str | None:
    """How many of the ended trials failed, and the commonest reasons; None where none did."""
    failed = trials[~trials["outcome"].isin([Outcome.COMPLETED, Outcome.STOPPED])]
    return None if failed.empty else f"{len(failed)} of {len(trials)} trials: {commonest_reasons(failed)}"


def commonest_reasons(trials: pd.DataFrame) -> str:
    """The commonest outcomes with their reasons, as in `3 x FAILED, ValueError: no such layer`."""
    reasons = Counter(f"{row.outcome}, {row.reason}" for row in trials.itertuples())
    commonest = reasons.most_common(REASONS_NAMED)
    return "; ".join(f"{count} x {shorten(reason, REASON_CHARS)}" for reason, count in commonest)
