"""Search quality: normalised regret of the incumbent against the budget spent, ours beside its peers.

    python tests/benchmarks/quality.py --workers 4 32 256 --seeds 10

Tasks are LCBench's development tasks (epochs 2-51 of the surrogate as epochs 1-50); the budget is 60 full trainings of
average length, shared by the workers. At each share of the budget the incumbent is the trial with the best value any
policy has been told so far, and it is judged by its value after the full training: 0 is the best of 1500 random
configurations, 1 their median. Runs are kept in --cache, so that a table can be completed in several sittings.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lcbench import DATA, TASKS, LCBench, Surrogate

from toprung.search.simulation.simulator import simulate
from toprung.search.strategy.strategy import Strategy

SHARES = (0.05, 0.1, 0.25, 0.5, 1.0)
FULL_TRAININGS = 60
PEERS = ("peers_ray", "peers_optuna", "peers_syne_tune")
Make = Callable[[Any, int], Any]


def ours(blackbox: Any, seed: int) -> Strategy:
    """The strategy as `toprung search` uses it: no setting at all."""
    return Strategy.for_space(blackbox.space, blackbox.max_epochs, seed)


def policies() -> dict[str, Make]:
    """Ours first, then every peer that is installed; the others are named with the reason."""
    found: dict[str, Make] = {"toprung": ours}
    for name in PEERS:
        try:
            found.update(importlib.import_module(name).PEERS)
        except ImportError as error:
            print(f"skipped {name}: {error}")
    return found


def regrets(make: Make, blackbox: LCBench, workers: int, seed: int) -> list[float]:
    """Normalised regret at each share of the budget; 1 (a median configuration) before anything is known."""
    budget_secs = FULL_TRAININGS * blackbox.reference[2] / workers
    result = simulate(make(blackbox, seed), blackbox, workers, budget_secs, seed)
    held = [result.incumbent_at(share * budget_secs) for share in SHARES]
    return [blackbox.regret(incumbent.config) if incumbent else 1.0 for incumbent in held]


def interquartile_mean(values: np.ndarray) -> float:
    """Mean of the middle half."""
    ordered = np.sort(values.ravel())
    quarter = len(ordered) // 4
    return float(ordered[quarter : len(ordered) - quarter].mean())


def interval(regret: np.ndarray) -> tuple[float, float]:
    """95% bootstrap interval of the interquartile mean; seeds are drawn anew within each task (Agarwal et al. 2021)."""
    rng = np.random.default_rng(0)
    tasks, seeds = regret.shape
    rows = np.arange(tasks)[:, None]
    means = [interquartile_mean(regret[rows, rng.integers(seeds, size=(tasks, seeds))]) for _ in range(1000)]
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def ranks(regret: dict[str, np.ndarray]) -> dict[str, float]:
    """Average rank of each policy over the runs of the same task and seed; 1 is best, ties share."""
    from scipy.stats import rankdata

    stacked = np.stack(list(regret.values()))
    return dict(
        zip(regret, rankdata(stacked, axis=0).reshape(len(stacked), -1).mean(1).tolist(), strict=True)
    )


def print_table(workers: int, regret: dict[str, np.ndarray]) -> None:
    """One row a policy; arrays of shape (tasks, seeds, shares)."""
    runs = {name: values.shape[0] * values.shape[1] for name, values in regret.items()}
    print(f"\n{workers} workers; interquartile mean [95% interval] (mean, rank) at a share of the budget")
    print(f"{'policy':<32}" + "".join(f"{share:>34.0%}" for share in SHARES) + f"{'runs':>7}")
    same = max(values.shape for values in regret.values())
    ranked = [
        ranks({name: values[..., i] for name, values in regret.items() if values.shape == same})
        for i in range(len(SHARES))
    ]
    for name, values in regret.items():
        cells = []
        for i in range(len(SHARES)):
            one = values[..., i]
            low, high = interval(one)
            rank = f"{ranked[i][name]:.1f}" if name in ranked[i] else "-"
            cells.append(f"{interquartile_mean(one):.3f} [{low:.3f},{high:.3f}] ({one.mean():.3f},{rank:>3})")
        print(f"{name:<32}" + "".join(f"{cell:>34}" for cell in cells) + f"{runs[name]:>7}", flush=True)


class Cache:
    """Finished runs, one JSON line each; None keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path and path.exists() else []
        self._known = {json.dumps(entry["run"]): entry["regret"] for entry in map(json.loads, lines)}

    def get(self, run: list[Any], compute: Callable[[], list[float]]) -> list[float]:
        """The regret of a run, computed when it is new."""
        key = json.dumps(run)
        if key not in self._known:
            self._known[key] = compute()
            if self._path:
                with self._path.open("a") as file:
                    file.write(json.dumps({"run": run, "regret": self._known[key]}) + "\n")
        return self._known[key]


def measured(args: argparse.Namespace, make: Make, name: str, workers: int, cache: Cache) -> np.ndarray:
    """Regrets of a policy, shape (tasks, seeds, shares)."""
    rows = []
    for blackbox in boxes(args):
        run = [name, blackbox.task, workers, args.clock, args.untrained]
        rows.append(
            [
                cache.get([*run, seed], lambda s=seed, b=blackbox: regrets(make, b, workers, s))
                for seed in range(args.seeds)
            ]
        )
    return np.array(rows)


def boxes(args: argparse.Namespace) -> Iterator[LCBench]:
    """The tasks asked for, one after the other."""
    surrogate = Surrogate(args.data)
    for task in args.tasks:
        yield LCBench(task, surrogate, args.clock, args.untrained)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[4])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--only", nargs="+", default=None, help="policies whose name holds one of these words"
    )
    parser.add_argument("--clock", choices=("secs", "epochs"), default="secs", help="what an epoch costs")
    parser.add_argument("--untrained", action="store_true", help="count the untrained epoch as the first one")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--cache", type=Path, default=None, help="a file of finished runs to add to")
    return parser.parse_args()


def main() -> None:
    """Print one table for each number of workers."""
    args = arguments()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    cache = Cache(args.cache)
    chosen = {
        name: make
        for name, make in policies().items()
        if args.only is None or any(word.lower() in name.lower() for word in args.only)
    }
    for workers in args.workers:
        regret = {}
        for name, make in chosen.items():
            regret[name] = measured(args, make, name, workers, cache)
            print(f"done: {name}, {workers} workers", file=sys.stderr, flush=True)
        print_table(workers, regret)


if __name__ == "__main__":
    main()
