"""A table of epochs, made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd

START = datetime(2026, 3, 1, tzinfo=UTC)


def epochs_of(values: list[float | None], trials: list[str] | None = None) -> pd.DataFrame:
    """One epoch a second, each of another trial unless said otherwise."""
    names = trials or [f"t{i:05d}" for i in range(len(values))]
    counts: dict[str, int] = {}
    rows = []
    for i, (name, value) in enumerate(zip(names, values, strict=True)):
        counts[name] = counts.get(name, 0) + 1
        at = START + timedelta(seconds=i + 1)
        rows.append({"trial_id": name, "epoch": counts[name], "arrival_index": i, "val_accuracy": value,
                     "epoch_secs": 1.0, "reported_at": at})  # fmt: skip
    frame = pd.DataFrame(rows)
    frame["val_accuracy"] = frame["val_accuracy"].astype(float)
    return frame
