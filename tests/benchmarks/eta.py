"""How far `toprung status` is off with the time that is left, on simulated searches of LCBench.

A search of 60 trials is simulated with 4 and 16 workers on each development task. From a third of its time on its
tables, as they are then, are asked how long it still takes. The error is printed relative to the time of the whole
search, and relative to what was really left.

    python tests/benchmarks/eta.py [--trials 60] [--seeds 4] [--first-seed 10]

The constants of the estimate were chosen on the seeds 0 to 3.
"""

from __future__ import annotations

import argparse
import heapq
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from lcbench import DATA, TASKS, LCBench, Surrogate

from toprung.results.analysis.time_and_cost.eta import SearchPlan, remaining_secs
from toprung.search.strategy.early_stopping.rung import rung_epochs
from toprung.search.strategy.strategy import Decision, Strategy
from toprung.trainables.trial.report import EpochReport, Outcome

START = datetime(2026, 1, 1, tzinfo=UTC)
SHARES = (0.33, 0.5, 0.75, 0.9)


def searched(
    task: LCBench, trials: int, workers: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The moments of a simulated search: tables of proposals, epochs and trials, in seconds since its start."""
    strategy = Strategy.for_space(task.space, task.max_epochs, seed, max_trials=trials, sampler="random")
    proposals: list[dict[str, Any]] = []
    epochs: list[dict[str, Any]] = []
    ended: list[dict[str, Any]] = []
    events: list[tuple[float, int, str, int, Any]] = []

    def start(now: float) -> None:
        proposal = strategy.ask()
        if proposal is None:
            return
        values, elapsed = task.curve(proposal.config)
        proposals.append({"trial_id": proposal.trial_id, "at": now})
        heapq.heappush(
            events, (now + elapsed[0], len(proposals), proposal.trial_id, 1, (now, values, elapsed))
        )

    for _ in range(workers):
        start(0.0)
    while events:
        now, order, name, epoch, curve = heapq.heappop(events)
        began, values, elapsed = curve
        secs = elapsed[epoch - 1] - (elapsed[epoch - 2] if epoch > 1 else 0.0)
        row = {"trial_id": name, "epoch": epoch, "epoch_secs": secs, "val_accuracy": float(values[epoch - 1])}
        epochs.append({**row, "at": now, "arrival_index": len(epochs)})
        decision = strategy.report(EpochReport(name, epoch, {"val_accuracy": row["val_accuracy"]}))
        if decision is Decision.KEEP and epoch < task.max_epochs:
            heapq.heappush(events, (began + elapsed[epoch], order, name, epoch + 1, curve))
            continue
        strategy.finish(name, Outcome.COMPLETED if epoch == task.max_epochs else Outcome.STOPPED)
        ended.append({"trial_id": name, "began": began, "at": now})
        start(now)
    return pd.DataFrame(proposals), pd.DataFrame(epochs), pd.DataFrame(ended)


def estimate(
    tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame], now: float, plan: SearchPlan
) -> float | None:
    """What the tables, as they were at a moment, say of the seconds that are left."""
    proposals, epochs, ended = (table[table["at"] <= now] for table in tables)

    def moment(secs: pd.Series) -> pd.Series:
        return pd.Timestamp(START) + pd.to_timedelta(secs, unit="s")

    proposals = proposals.assign(proposed_at=moment(proposals["at"]))
    epochs = epochs.assign(reported_at=moment(epochs["at"]))
    ended = ended.assign(started_at=moment(ended["began"]), ended_at=moment(ended["at"]))
    return remaining_secs(proposals, epochs, ended, plan, START + timedelta(seconds=now))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=10)
    parser.add_argument("--workers", type=int, nargs="+", default=[4, 16])
    options = parser.parse_args()
    if not DATA.exists():
        sys.exit(f"no surrogate in {DATA}")
    tasks = [LCBench(name, Surrogate()) for name in TASKS]
    print(
        "error of the time that is left, median: of the time of the whole search, and of what was really left"
    )
    for workers in options.workers:
        errors: dict[float, list[float]] = {share: [] for share in SHARES}
        for task in tasks:
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                plan = SearchPlan(options.trials, rung_epochs(task.max_epochs, 3), 3)
                tables = searched(task, options.trials, workers, seed)
                end = float(tables[2]["at"].max())
                for share in SHARES:
                    told = estimate(tables, share * end, plan)
                    left = (1 - share) * end
                    errors[share].append(-1.0 if told is None else (told - left) / left)
        for share, found in errors.items():
            short = np.mean(np.array(found) < 0)
            error = float(np.median(np.abs(found)))
            errors_told = f"{error * (1 - share):4.0%}, {error:4.0%}"
            print(f"{workers:3} workers, at {share:4.0%}: {errors_told}; {short:4.0%} too short", flush=True)
        of_whole = [abs(one) * (1 - share) for share, found in errors.items() for one in found]
        of_rest = [abs(one) for found in errors.values() for one in found]
        told = f"{np.median(of_whole):.0%} of the whole, {np.median(of_rest):.0%} of what was left"
        print(f"{workers:3} workers, from a third on: {told}")


if __name__ == "__main__":
    main()
