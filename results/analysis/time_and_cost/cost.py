"""What a search cost: worker seconds by outcome and by purpose, and its failures with their reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from toprung.results.analysis.leaderboard import RUNNING
from toprung.results.tables.trial_details import BESIDE_TRAINING
from toprung.trainables.trial.report import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

REASON_CHARS = 160


@dataclass(frozen=True)
class Cost:
    """Worker seconds of a search.

    Attributes:
        by_outcome: Seconds of training by outcome, those of running trials included.
        by_purpose: Seconds of ended trials by purpose; `training` without waiting for images and validation.
        winner_secs: Of them, the training of the best trial.
    """

    by_outcome: Mapping[str, float]
    by_purpose: Mapping[str, float]
    winner_secs: float

    @property
    def training_secs(self) -> float:
        """Seconds of training of all trials."""
        return sum(self.by_outcome.values())


def cost_of(board: pd.DataFrame, trials: pd.DataFrame, winner: str | None) -> Cost:
    """The cost of a search from its leaderboard and the table of ended trials."""
    secs = board.groupby("outcome")["train_secs"].sum()
    by_outcome = {name: float(secs[name]) for name in (*Outcome, RUNNING) if secs.get(name, 0.0) > 0.0}
    return Cost(
        by_outcome, _by_purpose(trials), float(board.loc[board["trial_id"] == winner, "train_secs"].sum())
    )


def failures(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials that ended neither completed nor stopped: by outcome and reason how many, and the latest of them.

    Numbers in reasons that differ from trial to trial do not make them different: `epoch 3` and `epoch 5` are one.
    """
    failed = trials[~trials["outcome"].isin([Outcome.COMPLETED, Outcome.STOPPED])]
    reasons = (
        failed["reason"]
        .fillna("")
        .str.replace(r"\bepoch \d+", "an epoch", regex=True)
        .str.slice(0, REASON_CHARS)
    )
    keyed = pd.DataFrame({"outcome": failed["outcome"], "reason": reasons, "trial_id": failed["trial_id"]})
    grouped = (
        keyed.groupby(["outcome", "reason"], sort=False)["trial_id"].agg(["count", "last"]).reset_index()
    )
    return grouped.rename(columns={"count": "trials", "last": "latest"}).sort_values(
        "trials", ascending=False
    )


def _by_purpose(trials: pd.DataFrame) -> dict[str, float]:
    sums = {name: float(trials[name].sum()) for name in ("train_secs", "input_wait_secs", "validation_secs")}
    within = min(sums["train_secs"], sums["input_wait_secs"] + sums["validation_secs"])
    purposes = {"training": sums["train_secs"] - within, "waiting for images": sums["input_wait_secs"]}
    purposes["validation"] = sums["validation_secs"]
    beside = {
        name.removesuffix("_secs").replace("_", " "): float(trials[name].sum()) for name in BESIDE_TRAINING
    }
    found = {**purposes, **beside, "waiting for a worker": float(trials["wait_secs"].sum())}
    return {name: secs for name, secs in found.items() if secs > 0.0}
