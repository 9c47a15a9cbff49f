"""What a search and a retrain are worth against well-known networks, each in the same minutes of computing.

    python tests/benchmarks/accuracy.py --data FOLDER --minutes 5 --images 4000
    python tests/benchmarks/accuracy.py --source digits --size 16 --minutes 2 --only first search --seeds 0 1 2

FOLDER holds train.parquet and test.parquet, or with --source folder a folder for each class. `first` is the
configuration that the search tries first, trained for all the minutes: what a search has to beat. On a CPU the minutes
are of one core; with --clock wall, for an accelerator, of the wall. A search spends 60% of them on trials in this
process, the rest on the winner, trained on train and validation for as many epochs as fit: the best trial of those that
the rest can train again for as long as the search did. Each preset is trained at its own recipe, on the same images,
for as many epochs as fit. `keras_tuner` is its Hyperband on the network of its documentation, in the same shares;
`regression` a logistic regression on the frozen network of the space "transfer". The test images are looked at once for
each line.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

if TYPE_CHECKING:
    from toprung.search.loop.epoch_pace import EpochPace
    from toprung.search.strategy.strategy import Strategy
    from toprung.spaces.families.registry import Space
    from toprung.trainables.data.dataset import Dataset
    from toprung.trainables.models.family import Family
    from toprung.trainables.task.task import Task
    from toprung.trainables.training.trainer import Trainer

Clock = Callable[[], float]
SEARCH_SHARE = 0.6
PEER_EPOCHS = 9
PROBED_SHARE = (
    2  # half of the images tell how long an epoch of all takes: what an epoch costs beside them is small
)


class Found(NamedTuple):
    """A trial of the search: its best validation accuracy, its seconds of training, and what it trained."""

    accuracy: float
    secs: float
    config: Mapping[str, Any]


class SearchTiming(NamedTuple):
    """The clock of a search, when it ends, the epochs of a full training, and how fast its trials train."""

    clock: Clock
    until: float
    max_epochs: int
    pace: EpochPace


class ResultLine(NamedTuple):
    """One row of the result."""

    name: str
    test_accuracy: float
    epochs: int
    parameters: int
    minutes: float


def main() -> None:
    """Print one line for the search and one for each preset."""
    arguments = _arguments()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from toprung.search.preparation import planned_epochs as plan
    from toprung.spaces.families.presets import PRESETS
    from toprung.spaces.families.registry import load_space
    from toprung.trainables.backend.engine import limit_threads
    from toprung.trainables.data.dataset import DataSpec, load

    plan.FULL_TRAININGS = arguments.full_trainings
    limit_threads(1)
    clock: Clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    spec = DataSpec(
        arguments.source, arguments.data, image_size=arguments.size, max_train_images=arguments.images
    )
    data = load(spec)
    secs = arguments.minutes * 60
    task = task_of(data, 1)
    fixed = {name: yaml.safe_load(value) for name, value in (text.split("=", 1) for text in arguments.fixed)}
    counts = f"{len(task.train.labels):,} + {len(task.val.labels):,} of {data.counts['train']:,} images"
    print(f"{counts}, {arguments.minutes:g} minutes each", flush=True)
    if "first" in arguments.only:
        first = first_config(arguments.space, fixed)
        show(trained(f"first {arguments.space}", arguments.space, first, data, secs, clock))
    for seed in arguments.seeds if "search" in arguments.only else ():
        show(searched(data, load_space(arguments.space, fixed), secs, clock, seed))
    for seed in arguments.seeds if "keras_tuner" in arguments.only else ():
        show(keras_tuned(data, secs, clock, seed))
    if "regression" in arguments.only:
        show(regression(data, fixed))
    for name, preset in PRESETS.items():
        if "presets" in arguments.only or name in arguments.only:
            show(trained(name, "cnn", preset.config, data, secs, clock))


def show(line: ResultLine) -> None:
    """Print a row."""
    print(
        f"{line.name:14} test accuracy {line.test_accuracy:.4f}  {line.epochs:3} epochs  "
        f"{line.parameters:>10,} parameters  {line.minutes:.1f} minutes",
        flush=True,
    )


def keras_tuned(data: Dataset, secs: float, clock: Clock, seed: int) -> ResultLine:
    """KerasTuner's Hyperband on the network of its documentation, for the same minutes and in the same shares."""
    from accuracy_peers import keras_tuner_hyperband

    began = clock()
    accuracy, epochs, parameters = keras_tuner_hyperband(data, secs, SEARCH_SHARE, PEER_EPOCHS, clock, seed)
    return ResultLine("keras_tuner", accuracy, epochs, parameters, (clock() - began) / 60)


def regression(data: Dataset, fixed: Mapping[str, Any]) -> ResultLine:
    """A logistic regression on the features of the network that the search fine-tunes."""
    from accuracy_peers import logistic_regression

    accuracy, spent = logistic_regression(data, {**first_config("transfer", fixed)})
    return ResultLine("regression", accuracy, 0, 0, spent / 60)


def first_config(space_name: str, fixed: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """The whole configuration of the first trial of a search."""
    from toprung.search.preparation.prepare import space_configs
    from toprung.search.strategy.initial_configs import completed
    from toprung.spaces.families.registry import load_space

    space = load_space(space_name, fixed)
    return completed(space, 0, 0, space_configs(space)[0]).config


def searched(data: Dataset, space: Space, secs: float, clock: Clock, seed: int) -> ResultLine:
    """A search by the default strategy, then its winner trained again."""
    from toprung.search.loop.epoch_pace import EpochPace
    from toprung.search.preparation.prepare import space_configs
    from toprung.search.preparation.space_walks import sampled_configs
    from toprung.search.preparation.tuned_epochs import first_rung
    from toprung.search.strategy.strategy import Strategy
    from toprung.spaces.families.transfer import TRANSFER
    from toprung.trainables.models.family import load_family
    from toprung.trainables.training.trainer_cache import TrainerCache

    began = clock()
    family, warm = load_family(space.name), TrainerCache(4)
    max_epochs = planned_epochs(family, space, data, secs * SEARCH_SHARE, clock)
    rung = first_rung(sampled_configs(space), max_epochs) if space.name == TRANSFER else 1
    strategy = Strategy.for_space(
        space, max_epochs, seed, initial_configs=space_configs(space), min_epochs=rung
    )
    task, found, until = task_of(data, max_epochs), list[Found](), began + secs * SEARCH_SHARE
    timing, kinds = SearchTiming(clock, until, max_epochs, EpochPace()), list[str]()
    while clock() < until and (proposal := strategy.ask()):
        trainer = warm.trainer(family, proposal.config, task)
        trainer.reset(proposal.config, seed * 1000 + len(found))
        accuracy, spent = one_trial(strategy, trainer, proposal.trial_id, timing)
        found.append(Found(accuracy, spent, proposal.config))
        kinds.append(strategy.state(proposal.trial_id).origin.kind)
    left = began + secs - clock()
    best = winner(found, left * len(task.train.labels) / (len(task.train.labels) + len(task.val.labels)))
    print(
        f"{len(found)} trials of up to {max_epochs} epochs, best on validation {best.accuracy:.4f}: {best.config}",
        flush=True,
    )
    for kind in sorted(set(kinds)):
        of_kind = [one for one, its in zip(found, kinds, strict=True) if its == kind]
        best_of_kind = max(one.accuracy for one in of_kind)
        won = " and the winner" if best in of_kind else ""
        print(
            f"  {kind:8} {len(of_kind):3} trials, {sum(one.secs for one in of_kind):5.0f} s, best "
            f"{best_of_kind:.4f}{won}",
            flush=True,
        )
    line = trained(f"search {space.name}", space.name, best.config, data, began + secs - clock(), clock)
    return line._replace(minutes=(clock() - began) / 60)


def planned_epochs(family: Family, space: Space, data: Dataset, secs: float, clock: Clock) -> int:
    """The epochs of a full training, as a search plans them: by an epoch of the first configuration."""
    from toprung.search.preparation.planned_epochs import epochs_within
    from toprung.search.preparation.space_walks import sampled_configs
    from toprung.search.preparation.tuned_epochs import fewest_epochs
    from toprung.spaces.families.transfer import TRANSFER
    from toprung.trainables.training.trainer import Trainer
    from toprung.trainables.worker.epoch_probe import part_of

    part, share = part_of(task_of(data, 2))
    trainer = Trainer(family, first_config(space.name, space.fixed), part)
    fewest = fewest_epochs(sampled_configs(space)) if space.name == TRANSFER else 1
    return epochs_within(secs, second_epoch_secs(trainer, clock) / share, fewest)


def winner(found: Sequence[Found], secs: float) -> Found:
    """The best trial of those that took no longer than `secs`; of all, where none was so short."""
    affordable = [trial for trial in found if trial.secs <= secs]
    return max(affordable or found, key=lambda trial: trial.accuracy)


def one_trial(
    strategy: Strategy, trainer: Trainer, trial_id: str, timing: SearchTiming
) -> tuple[float, float]:
    """Train one proposal until it is stopped or the time is over: its best validation accuracy, its seconds.

    Epochs before the first rung do not count: the winner is trained to its end, and they say nothing of it.
    """
    from toprung.search.strategy.strategy import Decision
    from toprung.trainables.trial.report import EpochReport, Outcome

    clock, until, max_epochs, pace = timing
    best, spent, began = -1.0, 0.0, clock()
    for epoch in range(1, max_epochs + 1):
        metrics = trainer.train_epoch(epoch)
        pace.add(trial_id, epoch, clock() - began - spent)
        spent = clock() - began
        decision = strategy.report(EpochReport(trial_id, epoch, metrics, elapsed_secs=spent))
        best = max(best, metrics["val_accuracy"] if epoch >= strategy.rung_epochs[0] else -1.0)
        is_too_slow = pace.too_slow(trial_id, max_epochs - epoch, until - clock())
        if decision is not Decision.KEEP or clock() > until or is_too_slow:
            strategy.finish(trial_id, Outcome.STOPPED)
            return best, spent
    strategy.finish(trial_id, Outcome.COMPLETED)
    return best, spent


def trained(
    name: str, family_name: str, config: Mapping[str, Any], data: Dataset, secs: float, clock: Clock
) -> ResultLine:
    """Train on train and validation for the epochs that fit into `secs`, then test."""
    from toprung.trainables.data.concat import concat_splits
    from toprung.trainables.models.family import load_family
    from toprung.trainables.training.trainer import Trainer

    began = clock()
    # Two epochs, as the first of a transfer trial fits the head alone.
    family, task = load_family(family_name), task_of(data, 2)
    everything = concat_splits(data.train(), task.val)
    task = replace(task, train=everything, val=some(everything, 64))
    probe = replace(task, train=some(everything, len(everything.labels) // PROBED_SHARE))
    epoch_secs = second_epoch_secs(Trainer(family, config, probe), clock) * PROBED_SHARE
    epochs = max(1, int((began + secs - clock()) / epoch_secs))
    trainer = Trainer(family, config, replace(task, max_epochs=epochs))
    trainer.reset(config, 0)
    for epoch in range(1, epochs + 1):
        trainer.train_epoch(epoch)
    minutes = (clock() - began) / 60
    accuracy = trainer.evaluate(data.test()).accuracy
    return ResultLine(name, accuracy, epochs, trainer.parameter_count, minutes)


def second_epoch_secs(trainer: Trainer, clock: Clock) -> float:
    """What an epoch takes once the step is traced."""
    trainer.train_epoch(1)
    began = clock()
    trainer.train_epoch(2)
    return clock() - began


def task_of(data: Dataset, max_epochs: int) -> Task:
    """The task of a data set."""
    from toprung.trainables.task.task import Task

    train, val = data.train(), data.val()
    return Task(
        data.image_shape, data.classes, max_epochs, train, some(val, len(train.labels) // 4), data.task_type
    )


def some(split: Any, count: int) -> Any:
    """About `count` images from everywhere in a split: a validation that costs as little as it should."""
    step = max(1, len(split.labels) // count)
    return type(split)(split.images[::step], split.labels[::step])


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
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the searches, one each")
    parser.add_argument("--clock", choices=["cpu", "wall"], default="cpu", help="whose minutes are counted")
    parser.add_argument(
        "--full-trainings", type=float, default=6.0, help="that the minutes of a search would pay for"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=["first", "search", "presets"],
        help="first, search, presets or a preset's name, keras_tuner, regression",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
