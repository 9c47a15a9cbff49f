"""Choose the configurations that a search of a space tries first: a few, each good on other images.

    python tests/benchmarks/portfolio.py train --source digits --size 16
    python tests/benchmarks/portfolio.py train --data FOLDER --source folder --size 48 --name flowers
    python tests/benchmarks/portfolio.py choose --count 4
    python tests/benchmarks/portfolio.py train --space transfer --data FOLDER --source folder --size 128 --val 0.4 \\
        --epochs 6 --name flowers --fixed weights=FILE backbone=MobileNetV2 alpha=0.35
    python tests/benchmarks/portfolio.py choose --space transfer

`train` trains every candidate of portfolio/SPACE/candidates.json, a name and what it changes of the first
configuration, and adds a line for each to portfolio/SPACE/scores.jsonl. With --run RUN the best trials of a finished
search are candidates too. Epochs that train a head alone do not count, as the candidates share them. --val sets a
larger share of the images aside to validate on than a search does: a handful of images more or less decides nothing.
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

import yaml
from accuracy_training import first_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from toprung.spaces.families.registry import Space

FOLDER = Path(__file__).parent / "portfolio"
CANDIDATES, SCORES = "candidates.json", "scores.jsonl"
USUAL = "usual"
BEST_OF_RUN = 3

Scores = dict[str, dict[str, float]]
"""Image set -> candidate -> its best validation accuracy, the mean over seeds."""


def main() -> None:
    """Train the candidates on one image set, or choose among those that were trained."""
    arguments = _arguments()
    if arguments.action == "choose":
        choose(scores_of(FOLDER / arguments.space / SCORES, arguments.cost), arguments.count)
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
    from toprung.spaces.families.registry import load_space
    from toprung.spaces.families.transfer import TRANSFER, head_only_epochs
    from toprung.trainables.backend.engine import limit_threads
    from toprung.trainables.data.dataset import DataSpec, load
    from toprung.trainables.models.family import load_family
    from toprung.trainables.task.task import Task
    from toprung.trainables.training.trainer_cache import TrainerCache

    limit_threads(1)
    images = {"image_size": arguments.size, "max_train_images": arguments.images}
    data = load(DataSpec(arguments.source, arguments.data, val_fraction=arguments.val, **images))
    task = Task(data.image_shape, data.classes, arguments.epochs, data.train(), data.val(), data.task_type)
    fixed = {name: yaml.safe_load(value) for name, value in (text.split("=", 1) for text in arguments.fixed)}
    space, family, warm = load_space(arguments.space, fixed), load_family(arguments.space), TrainerCache(4)
    for name, config in candidates(space, arguments.run):
        trainer, began = warm.trainer(family, config, task), time.process_time()
        trainer.reset(config, arguments.seed)
        curve = [trainer.train_epoch(epoch)["val_accuracy"] for epoch in range(1, arguments.epochs + 1)]
        line = {
            "set": arguments.name or arguments.source,
            "candidate": name,
            "epochs": arguments.epochs,
            "seed": arguments.seed,
            "best": round(max(curve[head_only_epochs(config) if space.name == TRANSFER else 0 :]), 4),
            "secs": round(time.process_time() - began, 1),
        }
        print({**line, "curve": [round(value, 3) for value in curve]}, flush=True)
        with (FOLDER / arguments.space / SCORES).open("a") as scores:
            scores.write(f"{json.dumps(line)}\n")


def candidates(space: Space, runs: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each candidate's name and whole configuration: those of the file, then the best of finished searches."""
    from toprung.search.strategy.initial_configs import completed

    base = {**first_config(space.name, space.fixed), "flip": True, "schedule": "cosine"}
    for name, changes in json.loads((FOLDER / space.name / CANDIDATES).read_text()).items():
        config = completed(space, 0, 0, {**base, **changes}).config
        if lost := [one for one in changes if config.get(one) != changes[one]]:
            raise SystemExit(f"candidate {name!r}: the space does not allow its {', '.join(lost)}")
        yield name, config
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
    parser.add_argument(
        "--space", choices=["cnn", "transfer"], default="cnn", help="whose candidates they are"
    )
    parser.add_argument("--fixed", nargs="*", default=[], help="of the space, as NAME=VALUE")
    parser.add_argument("--data", help="folder of the images")
    parser.add_argument("--source", default="parquet", help="of the data, as in a job")
    parser.add_argument("--name", help="of the image set, by default that of the source")
    parser.add_argument("--size", type=int, default=32, help="of the images, in pixels")
    parser.add_argument("--images", type=int, default=None, help="training images kept; all if not given")
    parser.add_argument("--val", type=float, default=0.15, help="the share of the images to validate on")
    parser.add_argument("--epochs", type=int, default=9, help="of each training")
    parser.add_argument("--seed", type=int, default=0, help="of each training")
    parser.add_argument("--run", nargs="*", default=[], help="run folders whose best trials are candidates")
    parser.add_argument("--cost", type=float, default=1.5, help="the most, in those of the usual candidate")
    parser.add_argument("--count", type=int, default=4, help="how many to choose")
    return parser.parse_args()


if __name__ == "__main__":
    main()
