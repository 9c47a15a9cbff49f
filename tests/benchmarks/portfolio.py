"""Choose the configurations that a search of the space "cnn" tries first: a few, each good on other images.

    python tests/benchmarks/portfolio.py train --source digits --size 16
    python tests/benchmarks/portfolio.py train --data FOLDER --source folder --size 48 --name flowers
    python tests/benchmarks/portfolio.py choose --count 4

`train` trains every candidate of portfolio/candidates.json, a name and what it changes of the first configuration, and
adds a line for each to portfolio/scores.jsonl. With --run RUN the best trials of a finished search are candidates too.
`choose` picks greedily: each time the candidate that brings the best of those picked closest to the best of all, on the
mean of the image sets, in standard deviations of the candidates' accuracies there (as the portfolios of Feurer et al.
2022, "Auto-Sklearn 2.0"). Candidates that take more than --cost times the seconds of the usual one are left out: a
short search cannot pay for them, and a longer one finds them. Seconds are of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from accuracy import first_config, task_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FOLDER = Path(__file__).parent / "portfolio"
CANDIDATES, SCORES = FOLDER / "candidates.json", FOLDER / "scores.jsonl"
SPACE, USUAL = "cnn", "usual"
BEST_OF_RUN = 3

Scores = dict[str, dict[str, float]]
"""Image set -> candidate -> its best validation accuracy, the mean over seeds."""


def main() -> None:
    """Train the candidates on one image set, or choose among those that were trained."""
    arguments = _arguments()
    if arguments.action == "choose":
        choose(scores_of(SCORES, arguments.cost), arguments.count)
    else:
        train(arguments)


def choose(scores: Scores, count: int) -> None:
    """Print the candidates picked one after the other, with what each leaves to be gained."""
    picked: list[str] = []
    for _ in range(count):
        best = min(shared_candidates(scores), key=lambda name: missed(scores, [*picked, name]))
        picked.append(best)
        print(
            f"{best:20} the best of {len(picked)} is {missed(scores, picked):.2f} deviations below the best of all"
        )


def shared_candidates(scores: Scores) -> list[str]:
    """The candidates that were trained on every image set."""
    return sorted(set.intersection(*(set(of_set) for of_set in scores.values())))


def missed(scores: Scores, picked: Sequence[str]) -> float:
    """How far the best of the picked is below the best of all, on the mean of the sets, in standard deviations."""
    return fmean(
        (max(of_set.values()) - max(of_set[name] for name in picked)) / stdev(of_set.values())
        for of_set in scores.values()
    )


def scores_of(path: Path, most_cost: float) -> Scores:
    """The accuracies that `train` has written, of candidates that took at most `most_cost` times the usual seconds."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    usual_secs = {row["set"]: row["secs"] for row in rows if row["candidate"] == USUAL}
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row["secs"] > most_cost * usual_secs[row["set"]]:
            continue
        found.setdefault(row["set"], {}).setdefault(row["candidate"], []).append(row["best"])
    return {name: {one: fmean(values) for one, values in of_set.items()} for name, of_set in found.items()}


def train(arguments: argparse.Namespace) -> None:
    """Train every candidate, and add a line for each to the scores."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from toprung.trainables.backend.engine import limit_threads
    from toprung.trainables.data.dataset import DataSpec, load
    from toprung.trainables.models.family import load_family
    from toprung.trainables.training.trainer import Trainer

    limit_threads(1)
    data = load(
        DataSpec(
            arguments.source, arguments.data, image_size=arguments.size, max_train_images=arguments.images
        )
    )
    task, family = task_of(data, arguments.epochs), load_family(SPACE)
    for name, config in candidates(arguments.run):
        trainer, began = Trainer(family, config, task), time.process_time()
        trainer.reset(config, arguments.seed)
        curve = [
            round(trainer.train_epoch(epoch)["val_accuracy"], 4) for epoch in range(1, arguments.epochs + 1)
        ]
        line = {
            "set": arguments.name or arguments.source,
            "candidate": name,
            "epochs": arguments.epochs,
            "seed": arguments.seed,
            "best": max(curve),
            "secs": round(time.process_time() - began, 1),
        }
        print(line, flush=True)
        with SCORES.open("a") as scores:
            scores.write(f"{json.dumps(line)}\n")


def candidates(runs: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each candidate's name and whole configuration: those of the file, then the best of finished searches."""
    base = {**first_config(SPACE), "schedule": "cosine", "ema": 0.0, "flip": True}
    for name, changes in json.loads(CANDIDATES.read_text()).items():
        config = {**base, **changes}
        yield name, {**config, "flip_average": config["flip"]}
    for run in runs:
        from toprung.results.run import load as load_run

        best = load_run(run).leaderboard().head(BEST_OF_RUN)
        for row in best.to_dict("records"):
            config = {
                key.removeprefix("config/"): value for key, value in row.items() if key.startswith("config/")
            }
            yield f"{Path(run).name}/{row['trial_id']}", config


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["train", "choose"])
    parser.add_argument("--data", help="folder of the images")
    parser.add_argument("--source", default="parquet", help="of the data, as in a job")
    parser.add_argument("--name", help="of the image set, by default that of the source")
    parser.add_argument("--size", type=int, default=32, help="of the images, in pixels")
    parser.add_argument("--images", type=int, default=None, help="training images kept; all if not given")
    parser.add_argument("--epochs", type=int, default=9, help="of each training")
    parser.add_argument("--seed", type=int, default=0, help="of each training")
    parser.add_argument("--run", nargs="*", default=[], help="run folders whose best trials are candidates")
    parser.add_argument("--cost", type=float, default=1.5, help="the most, in those of the usual candidate")
    parser.add_argument("--count", type=int, default=4, help="how many to choose")
    return parser.parse_args()


if __name__ == "__main__":
    main()
