"""What a search and a retrain are worth against other ways to spend the same minutes of computing.

    python tests/benchmarks/accuracy.py --data FOLDER --minutes 12 --images 4000 --seeds 0 1 2 3 4
    python tests/benchmarks/accuracy.py --source digits --size 16 --minutes 2 --only first search --seeds 0 1 2

FOLDER holds train.parquet and test.parquet, or with --source folder a folder for each class. On a CPU the minutes are
of one core; with --clock wall, for an accelerator, of the wall. Each seed draws its own validation images, and test
images where the source has none of its own; all ways get the same. The ways:

- `first`: the configuration that the search tries first, trained for all the minutes. What a search has to beat.
- `search`: 60% of the minutes for trials in this process, the rest for the winner, trained on train and validation for
  as many epochs as fit: the best trial by the epochs of which the rest can train two thirds, as by `retrain.hours`.
- `keras_tuner`, `ray_tune`: KerasTuner's Hyperband, and Ray Tune's OptunaSearch with its ASHA, both on the network of
  KerasTuner's documentation and in the same shares.
- `regression`: a logistic regression on the frozen network of the space "transfer".
- `presets`, or a preset's name: trained for as many epochs as fit.

The test images are looked at once for each line. The last lines are means over the seeds.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml
from accuracy_search import SEARCH_SHARE, searched
from accuracy_training import Clock, ResultLine, first_config, task_of, trained

if TYPE_CHECKING:
    from toprung.trainables.data.dataset import Dataset

PEER_EPOCHS = 9


def main() -> None:
    """Print a line for each way and seed, and the means."""
    arguments = _arguments()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from toprung.search.preparation import planned_epochs as plan
    from toprung.trainables.backend.engine import limit_threads

    plan.ROOT_FACTOR = arguments.root_factor
    limit_threads(1)
    lines: dict[str, list[float]] = {}
    for seed in arguments.seeds:
        data = load_data(arguments, seed)
        for line in result_lines(arguments, data, seed):
            lines.setdefault(line.name, []).append(line.test_accuracy)
            print(
                f"{line.name:14} test accuracy {line.test_accuracy:.4f}  {line.epochs:3} epochs  "
                f"{line.parameters:>10,} parameters  {line.minutes:.1f} minutes",
                flush=True,
            )
    if len(arguments.seeds) > 1:
        print("\n".join(means(lines)), flush=True)


def load_data(arguments: argparse.Namespace, seed: int) -> Dataset:
    """The images, split by the seed where the source leaves that open."""
    from toprung.trainables.data.dataset import DataSpec, load

    data = load(
        DataSpec(
            arguments.source,
            arguments.data,
            image_size=arguments.size,
            max_train_images=arguments.images,
            seed=seed,
        )
    )
    task = task_of(data, 1)
    counts = f"{len(task.train.labels):,} + {len(task.val.labels):,} of {data.counts['train']:,} images"
    print(f"seed {seed}: {counts}, {arguments.minutes:g} minutes each", flush=True)
    return data


def result_lines(arguments: argparse.Namespace, data: Dataset, seed: int) -> Iterator[ResultLine]:
    """What each way that is asked for comes to, in the order of the module's list."""
    from toprung.spaces.families.presets import PRESETS
    from toprung.spaces.families.registry import load_space

    space, only, secs = arguments.space, arguments.only, arguments.minutes * 60
    clock: Clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    fixed = {name: yaml.safe_load(value) for name, value in (text.split("=", 1) for text in arguments.fixed)}
    if "first" in only:
        yield trained(f"first {space}", space, first_config(space, fixed), data, secs, clock, seed)
    if "search" in only:
        yield searched(data, load_space(space, fixed), secs, clock, seed)
    for name in ("keras_tuner", "ray_tune"):
        if name in only:
            yield peer(name, data, secs, clock, seed)
    if "regression" in only:
        yield regression(data, fixed)
    for name, preset in PRESETS.items():
        if "presets" in only or name in only:
            yield trained(name, "cnn", preset.config, data, secs, clock, seed)


def means(lines: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """For each way its mean with a standard error over the seeds, and what the search is ahead, seed by seed."""
    import numpy as np

    def with_error(values: np.ndarray) -> str:
        return f"{values.mean():.4f} ({values.std(ddof=1) / len(values) ** 0.5:.4f})"

    ours = next((np.asarray(values) for name, values in lines.items() if name.startswith("search")), None)
    for name, values in lines.items():
        ahead = "" if ours is None else f"  search ahead by {with_error(ours - np.asarray(values))}"
        yield f"{name:14} mean {with_error(np.asarray(values))}{ahead}"


def peer(name: str, data: Dataset, secs: float, clock: Clock, seed: int) -> ResultLine:
    """Another library's search on the network of KerasTuner's documentation, its best retrained, in the same shares."""
    from accuracy_peers import keras_tuner_hyperband, ray_tune_asha

    search = {"keras_tuner": keras_tuner_hyperband, "ray_tune": ray_tune_asha}[name]
    return search(data, secs, SEARCH_SHARE, PEER_EPOCHS, clock, seed)


def regression(data: Dataset, fixed: Mapping[str, Any]) -> ResultLine:
    """A logistic regression on the features of the network that the search fine-tunes."""
    from accuracy_regression import logistic_regression

    accuracy, spent = logistic_regression(data, first_config("transfer", fixed))
    return ResultLine("regression", accuracy, 0, 0, spent / 60)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="folder with train.parquet and test.parquet, or with a folder a class")
    parser.add_argument("--source", default="parquet", help="of the data, as in a job")
    parser.add_argument("--size", type=int, default=32, help="of the images, in pixels")
    parser.add_argument("--minutes", type=float, default=5.0, help="for the search, and for each preset")
    parser.add_argument("--images", type=int, default=None, help="training images kept; all if not given")
    parser.add_argument("--space", default="cnn", help="the space that is searched")
    parser.add_argument("--fixed", nargs="*", default=[], help="of the space, as NAME=VALUE")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0], help="each of the data, the searches and the trainings"
    )
    parser.add_argument("--clock", choices=["cpu", "wall"], default="cpu", help="whose minutes are counted")
    parser.add_argument(
        "--root-factor",
        type=float,
        default=2.2,
        help="epochs of a full training: times the root of all that are paid for",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=["first", "search"],
        help="first, search, keras_tuner, ray_tune, regression, presets or a preset's name",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
