"""Search quality: normalised regret of the incumbent against the budget spent, ours beside its peers.

    python tests/benchmarks/quality.py --workers 4 32 256 --seeds 10
    python tests/benchmarks/quality.py --sets cnn made_up --seeds 16
    python tests/benchmarks/quality.py --sets cnn made_up --ablations
    python tests/benchmarks/quality.py --sets lcbench cnn --priors --seeds 8

Sets of tasks: LCBench's development tasks (epochs 2-51 of the surrogate as epochs 1-50), three families of real
convolutional networks, and made-up curves. The budget is 60 (LCBench) or 30 full trainings of average length, shared by
the workers. At each share of the budget the incumbent is the trial with the best value any policy has been told so far,
and it is judged by its value after the full training: 0 is the best of 1500 random configurations, 1 their median. A
second table has the differences to ours, paired by task and seed, with standard errors. Runs are kept in --cache, so
that a table can be completed in several sittings. With --ablations ours is compared with itself, each mechanism
switched off alone: positive differences are what the mechanism gains. With --priors it is compared with itself given
configurations to try first, the best or the worst of random ones.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import optuna

sys.path.insert(0, str(Path(__file__).resolve().parent))

import ablations
import cnn_families
import made_up_curves
import priors
from lcbench import DATA, TASKS, LCBench, Surrogate

from toprung.search.simulation.simulator import simulate
from toprung.search.strategy.strategy import Strategy

SHARES = (0.05, 0.1, 0.25, 0.5, 1.0)
SETS = {"lcbench": TASKS, "cnn": cnn_families.FAMILIES, "made_up": made_up_curves.KINDS}
PEERS = ("peers_ray", "peers_optuna", "peers_syne_tune")
Make = Callable[[Any, int], Any]


class Task(Protocol):
    """A blackbox with a name, a budget and a judgement of configurations."""

    task: str
    full_trainings: int

    @property
    def reference(self) -> tuple[float, float, float]:
        """(best, median) final value and mean seconds of a full training of random configurations."""
        ...

    def regret(self, config: Mapping[str, Any]) -> float:
        """0 the best of the reference, 1 its median."""
        ...


def ours(blackbox: Any, seed: int) -> Strategy:
    """The strategy as `toprung search` uses it: no setting at all."""
    return Strategy.for_space(blackbox.space, blackbox.max_epochs, seed)


def random_ladder(blackbox: Any, seed: int) -> Strategy:
    """Our rungs with random proposals: what the model adds is the difference to it."""
    return Strategy.for_space(blackbox.space, blackbox.max_epochs, seed, sampler="random")


def policies(with_ablations: bool, with_priors: bool) -> dict[str, Make]:
    """Ours first, then ours changed, or every installed peer; what is not installed is named with the reason."""
    if with_ablations or with_priors:
        without = dict.fromkeys(ablations.ABLATIONS, ours) if with_ablations else {}
        return {"toprung": ours, **without, **(priors.PRIORS if with_priors else {})}
    found: dict[str, Make] = {"toprung": ours, "our rungs, random": random_ladder}
    for name in PEERS:
        try:
            found.update(importlib.import_module(name).PEERS)
        except ImportError as error:
            print(f"skipped {name}: {error}")
    return found


def regrets(make: Make, blackbox: Any, workers: int, seed: int) -> list[float]:
    """Normalised regret at each share of the budget; 1 (a median configuration) before anything is known."""
    budget_secs = blackbox.full_trainings * blackbox.reference[2] / workers
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


def print_table(title: str, regret: dict[str, np.ndarray]) -> None:
    """One row a policy; arrays of shape (tasks, seeds, shares)."""
    runs = {name: values.shape[0] * values.shape[1] for name, values in regret.items()}
    print(f"\n{title}; interquartile mean [95% interval] (mean, rank) at a share of the budget")
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


def paired(regret: np.ndarray, ours: np.ndarray) -> list[tuple[float, float]]:
    """Mean difference to ours and its standard error at each share; arrays of shape (tasks, seeds, shares).

    Tasks are given and seeds are drawn, so that the error is of the seeds within each task.
    """
    difference = regret - ours
    tasks, seeds, _ = difference.shape
    error = np.sqrt((difference.var(axis=1, ddof=1) / seeds).sum(axis=0)) / tasks
    return list(zip(difference.mean(axis=(0, 1)).tolist(), error.tolist(), strict=True))


def print_differences(title: str, regret: dict[str, np.ndarray]) -> None:
    """One row a policy: its mean regret minus ours, and the standard error; positive where ours is ahead."""
    (name, ours), *others = regret.items()
    print(f"\n{title}; mean regret minus that of {name} (standard error)")
    for other, values in others:
        if values.shape == ours.shape and ours.shape[1] > 1:
            cells = [f"{mean:+.3f} ({error:.3f})" for mean, error in paired(values, ours)]
            print(f"{other:<32}" + "".join(f"{cell:>18}" for cell in cells), flush=True)


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


def measured(
    args: argparse.Namespace, make: Make, name: str, workers: int, cache: Cache, tasks: list[Any]
) -> np.ndarray:
    """Regrets of a policy, shape (tasks, seeds, shares)."""
    rows = []
    for blackbox in tasks:
        run = [name, blackbox.task, workers, args.clock, args.untrained]
        rows.append(
            [
                cache.get([*run, seed], lambda s=seed, b=blackbox: regrets(make, b, workers, s))
                for seed in range(args.seeds)
            ]
        )
    return np.array(rows)


def tasks_of(kind: str, args: argparse.Namespace) -> Iterator[Task]:
    """The tasks of one set.

    Raises:
        ImportError: Something that the set needs is not there.
    """
    if kind == "lcbench":
        if not args.data.exists():
            raise ImportError(f"{args.data} is not there")
        surrogate = Surrogate(args.data)
        yield from (LCBench(task, surrogate, args.clock, args.untrained) for task in _chosen(kind, args))
    elif kind == "cnn":
        yield from (cnn_families.CnnFamily(task, args.curves) for task in _chosen(kind, args))
    else:
        yield from (made_up_curves.MadeUp(task) for task in _chosen(kind, args))


def _chosen(kind: str, args: argparse.Namespace) -> list[str]:
    return [task for task in SETS[kind] if args.tasks is None or task in args.tasks]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[4])
    parser.add_argument("--sets", nargs="+", default=["lcbench"], choices=list(SETS))
    parser.add_argument("--tasks", nargs="+", default=None, help="of the sets, these alone")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--only", nargs="+", default=None, help="policies whose name holds one of these words"
    )
    parser.add_argument("--ablations", action="store_true", help="ours without each mechanism, no peers")
    parser.add_argument(
        "--priors", action="store_true", help="ours with right and wrong first configurations"
    )
    parser.add_argument("--clock", choices=("secs", "epochs"), default="secs", help="what an epoch costs")
    parser.add_argument("--untrained", action="store_true", help="count the untrained epoch as the first one")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of LCBench's surrogate")
    parser.add_argument(
        "--curves", type=Path, default=cnn_families.MODULE, help="the module of the CNN curves"
    )
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
        for name, make in policies(args.ablations, args.priors).items()
        if args.only is None or any(word.lower() in name.lower() for word in args.only)
    }
    for kind in args.sets:
        try:
            tasks = list(tasks_of(kind, args))
        except ImportError as error:
            print(f"skipped {kind}: {error}")
            continue
        for workers in args.workers:
            regret = {}
            for name, make in chosen.items():
                with ablations.switched_off(name):
                    regret[name] = measured(args, make, name, workers, cache, tasks)
                print(f"done: {name}, {kind}, {workers} workers", file=sys.stderr, flush=True)
            title = f"{kind}, {workers} workers"
            print_table(title, regret)
            print_differences(title, regret)


if __name__ == "__main__":
    main()
