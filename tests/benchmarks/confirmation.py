"""What a retrained winner is worth: the search's own value, a steadier epoch, or a few trainings with new seeds.

    python tests/benchmarks/confirmation.py search/jobs/quickstart.yaml --searches 8 --seeds 16

The job is searched once for each seed, on the same splits, in a fresh folder (--folder keeps it, and what is done is
not done again), and the best --of of each search are trained with --seeds new seeds. Then, on those curves alone:

told     the value that the choice was made by
true     the mean that trainings not used for the choice have, of the configuration and epoch chosen
flattery told - true
held     how often the 95% interval held what is true

A confirmation is replayed --draws times with seeds drawn from those trained, and measured by the rest. The last lines
choose the epoch alone, by one curve, for every configuration and seed. Means over the searches; the differences are
paired, with their standard error.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from toprung.results.analysis.confirmation import confirmed  # noqa: E402
from toprung.results.analysis.learning_curve import steady_epoch  # noqa: E402
from toprung.results.analysis.winner import eligible, pick_winner  # noqa: E402
from toprung.results.tables.parts import read_tables  # noqa: E402
from toprung.search.choice.confirm import candidates_of  # noqa: E402
from toprung.search.choice.confirm_jobs import confirm_runs, point_key, trainings_by_point  # noqa: E402
from toprung.search.runs.run_folder import RunFolder  # noqa: E402
from toprung.trainables.trial.objectives import Objective  # noqa: E402

Row = tuple[float, float, float]  # told, true, held
CONFIRMED = [(best, seeds) for best in (1, 3, 5) for seeds in (2, 3, 5)]


def main() -> None:
    """Search, train, print."""
    options = _arguments()
    home = Path(options.folder or tempfile.mkdtemp(prefix="toprung-"))
    rows: dict[str, list[Row]] = defaultdict(list)
    epochs: dict[str, list[float]] = defaultdict(list)
    for seed in range(options.searches):
        folder = _searched(options, home, seed)
        _compare(folder, options, rows, epochs)
        print(f"search {seed + 1} of {options.searches} done", file=sys.stderr, flush=True)
    base = np.array([true for _, true, _ in rows["the search's winner, at its best epoch"]])
    print("what is retrained                          told    true  flattery  held  truer by")
    for name, found in rows.items():
        told, true, held = np.array(found).T
        gain = true - base
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else float("nan")
        share = f"{held.mean():5.0%}" if np.isfinite(held).all() else "    -"
        means = f"{told.mean():.4f}  {true.mean():.4f}  {(told - true).mean():+.4f}  {share}"
        print(f"{name:40s}  {means}  {gain.mean():+.4f} +- {error:.4f}")
    print(f"\nthe epoch chosen by one curve, {len(epochs['last'])} curves: mean of the other seeds at it")
    for name, values in epochs.items():
        print(f"{name:40s}  {np.mean(values):.4f}")


def _searched(options: argparse.Namespace, home: Path, seed: int) -> RunFolder:
    folder = RunFolder(str(home / f"s{seed}"))
    common = ["--set", "tracking.enabled=false"]
    search = [options.job, "--set", f"storage.path={home}", "--set", f"name=s{seed}", "--set", f"seed={seed}"]
    _toprung("search", *search, "--set", "data.seed=0", *common)
    confirm = ["--set", f"retrain.confirm={options.of}", "--set", f"retrain.seeds={options.seeds}"]
    _toprung("retrain", folder.root, *confirm, *common)
    return folder


def _toprung(*arguments: str) -> None:
    command = [sys.executable, "-m", "toprung.search", *arguments]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def _compare(
    folder: RunFolder, options: argparse.Namespace, rows: dict[str, list[Row]], epochs: dict[str, list[float]]
) -> None:
    job = folder.job()
    _, reports, trials = read_tables(folder.root)
    objective = job.search.optimized.main
    winner = pick_winner(trials, reports, objective)
    board = eligible(trials, reports, objective)
    known = trainings_by_point(list(confirm_runs(folder, job)), job.search.metric)
    points = candidates_of(job, folder, board, options.of)
    curves = {
        name: np.array([one.curve for one in known[point_key(params)]]) for name, params in points.items()
    }
    own = curves[winner.trial_id].mean(axis=0)
    nan = float("nan")
    rows["the search's winner, at its best epoch"].append((winner.score, own[winner.epoch - 1], nan))
    rows["the same, at its steady epoch"].append((winner.score, own[winner.train_epochs - 1], nan))
    rng = np.random.default_rng(0)
    for best, seeds in CONFIRMED:
        drawn = [_replayed(curves, best, seeds, objective, rng) for _ in range(options.draws)]
        told, true, held = np.mean(drawn, axis=0)
        rows[f"the best {best} confirmed with {seeds} seeds"].append((float(told), float(true), float(held)))
    for each in curves.values():
        for number, curve in enumerate(each):
            others = np.delete(each, number, axis=0).mean(axis=0)
            best_epoch = int(np.argmax(objective.sign * curve))
            epochs["best"].append(others[best_epoch])
            epochs["steady"].append(others[steady_epoch(curve, objective) - 1])
            epochs["last"].append(others[-1])


def _replayed(
    curves: dict[str, np.ndarray], best: int, seeds: int, objective: Objective, rng: np.random.Generator
) -> Row:
    order = {name: rng.permutation(len(each)) for name, each in list(curves.items())[:best]}
    first = confirmed({name: curves[name][some[:seeds]].tolist() for name, some in order.items()}, objective)[
        0
    ]
    rest = curves[first.trial_id][order[first.trial_id][seeds:]]
    true = float(rest[:, first.epoch - 1].mean())
    return first.score, true, float(first.low <= true <= first.high)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("job", help="a job file")
    parser.add_argument("--searches", type=int, default=8)
    parser.add_argument("--of", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--folder", help="where the runs are kept")
    return parser.parse_args()


if __name__ == "__main__":
    main()
