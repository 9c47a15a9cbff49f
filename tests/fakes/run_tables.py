"""The tables of a run as the tests of whole searches read them, also while it is written."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd

from toprung.results.tables.parts import read_table

TIMES = ["reported_at", "epoch_secs", "elapsed_secs", "images_per_sec"]


def tables(run: Path) -> dict[str, pd.DataFrame]:
    return {name: pd.read_parquet(run / name) for name in ("proposals", "epochs", "trials")}


def decided(run: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What a search decided and measured, without what depends on the clock."""
    found = tables(run)
    epochs = found["epochs"].drop(columns=[*TIMES, "arrival_index"]).sort_values(["trial_id", "epoch"])
    config = [name for name in found["trials"] if name.startswith("config/")]
    columns = [
        "trial_id",
        "outcome",
        "best_val_accuracy",
        "best_epoch",
        "last_epoch",
        "highest_rung_epoch",
        "seed",
        *config,
    ]
    trials = found["trials"][columns].sort_values("trial_id")
    return epochs.reset_index(drop=True), trials.reset_index(drop=True)


def wait_for(condition, secs: float = 240) -> bool:
    deadline = time.monotonic() + secs
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


def rows(run: Path, table: str) -> int:
    return len(read_table(run, table))  # also while the parts are being merged
