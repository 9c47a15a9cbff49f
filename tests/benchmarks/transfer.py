"""What a search of the transfer space is worth against a logistic regression on the frozen network's features.

    python tests/benchmarks/transfer.py --data FOLDER --weights FILE.weights.h5 --minutes 4 --seeds 3

FOLDER holds a folder of images for each class. Minutes are of one core. For each seed the images are split anew (30%
of them for the test), the default strategy searches in this process for 70% of the minutes, and the winner is trained
again on train and validation. The regression is fitted to the features of the same images, its C chosen on the
validation images. `--draws N` trains N random configurations of the space instead, and prints how many end near the
best.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.search.strategy.strategy import Strategy
    from toprung.spaces.families.registry import Space
    from toprung.trainables.data.dataset import Dataset
    from toprung.trainables.task.task import Task
    from toprung.trainables.training.trainer import Trainer

SEARCH_SHARE = 0.7
VAL, TEST = 0.15, 0.3  # shares of the images
REGULARISATION = (0.01, 0.1, 1.0)  # scikit-learn's C
NEAR = 0.9  # of the best


class Found(NamedTuple):
    """A trial of the search: its curve on validation, and what it trained."""

    curve: tuple[float, ...]
    config: Mapping[str, Any]


class Row(NamedTuple):
    """Right answers on the test images, and the seconds that both took."""

    ours: np.ndarray
    theirs: np.ndarray
    our_secs: float
    their_secs: float


def main() -> None:
    """Print a line for each seed, and the difference over all of them."""
    arguments = _arguments()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from toprung.spaces.families.registry import load_space
    from toprung.trainables.backend.engine import limit_threads
    from toprung.trainables.data.dataset import DataSpec, load

    limit_threads(1)
    fixed = {"backbone": arguments.backbone, "alpha": arguments.alpha, "weights": arguments.weights}
    space = load_space("transfer", fixed)
    rows = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        size, folder = arguments.image_size, arguments.data
        given = DataSpec("folder", folder, size, val_fraction=VAL, test_fraction=TEST, seed=seed)
        data = load(given)
        if arguments.draws:
            show_draws(space, data, arguments.draws, arguments.epochs, seed)
            continue
        rows.append(compared(space, data, 60 * arguments.minutes, arguments.epochs, seed))
        _show(f"seed {seed}", rows[-1:])
    if len(rows) > 1:
        _show("all", rows)


def compared(space: Space, data: Dataset, secs: float, epochs: int, seed: int) -> Row:
    """A search and its retrained winner, and the regression, on the same test images."""
    from toprung.trainables.models.family import load_family
    from toprung.trainables.training.trainer_cache import TrainerCache

    test = data.test()
    began = time.process_time()
    warm, family = TrainerCache(4), load_family("transfer")
    found = searched(space, task_of(data, epochs), secs * SEARCH_SHARE, seed, warm)
    best = max(found, key=lambda trial: max(trial.curve))
    head = max(trial.curve[0] for trial in found)
    trainer = retrained(best, task_of(data, epochs), warm.trainer(family, best.config, task_of(data, epochs)))
    our_secs = time.process_time() - began
    ours = trainer.evaluate(test).probabilities.argmax(axis=1) == np.asarray(test.labels)
    print(f"{len(found)} trials; validation: head {head:.3f}, best {max(best.curve):.3f}; {best}", flush=True)
    began = time.process_time()
    theirs = regression(trainer, best.config, data)
    return Row(ours, theirs, our_secs, time.process_time() - began)


def searched(space: Space, task: Task, secs: float, seed: int, warm: Any) -> list[Found]:
    """The trials of the default strategy in so many seconds of the processor."""
    from toprung.search.preparation.space_walks import sampled_configs
    from toprung.search.preparation.tuned_epochs import first_rung
    from toprung.search.strategy.initial_configs import allowed_subset
    from toprung.search.strategy.strategy import Strategy
    from toprung.trainables.models.family import load_family

    first = allowed_subset(space, space.first_configs[0])
    rung = first_rung(sampled_configs(space), task.max_epochs)
    strategy = Strategy.for_space(space, task.max_epochs, seed, initial_configs=[first], min_epochs=rung)
    family, found, until = load_family("transfer"), list[Found](), time.process_time() + secs
    while time.process_time() < until and (proposal := strategy.ask()):
        trainer = warm.trainer(family, proposal.config, task)
        trainer.reset(proposal.config, seed * 1000 + len(found))
        curve = one_trial(strategy, trainer, proposal.trial_id, task.max_epochs, until)
        found.append(Found(curve, proposal.config))
    return found


def one_trial(
    strategy: Strategy, trainer: Trainer, trial_id: str, epochs: int, until: float
) -> tuple[float, ...]:
    """Train one proposal until the strategy stops it or the time is over; its validation accuracies."""
    from toprung.search.strategy.strategy import Decision
    from toprung.trainables.trial.report import EpochReport, Outcome

    curve, began, outcome = list[float](), time.process_time(), Outcome.COMPLETED
    for epoch in range(1, epochs + 1):
        metrics = trainer.train_epoch(epoch)
        curve.append(metrics["val_accuracy"])
        elapsed = time.process_time() - began
        decision = strategy.report(EpochReport(trial_id, epoch, metrics, elapsed_secs=elapsed))
        if decision is not Decision.KEEP or time.process_time() > until:
            outcome = Outcome.STOPPED
            break
    strategy.finish(trial_id, outcome)
    return tuple(curve)


def retrained(best: Found, task: Task, trainer: Trainer) -> Trainer:
    """The winner trained on train and validation, up to the epoch at which its smoothed curve is best."""
    from toprung.results.analysis.learning_curve import steady_epoch
    from toprung.trainables.data.concat import concat_splits
    from toprung.trainables.training.batches import feed_for
    from toprung.trainables.trial.objectives import Objective

    both = concat_splits(task.train, task.val)
    some = type(task.val)(task.val.images[:8], task.val.labels[:8])
    trainer.use(replace(task, train=both, val=some), feed_for(both, False), trainer.execution_plan)
    trainer.reset(best.config, 0)
    for epoch in range(1, steady_epoch(best.curve, Objective("val_accuracy", "max")) + 1):
        trainer.train_epoch(epoch)
    return trainer


def regression(trainer: Trainer, config: Mapping[str, Any], data: Dataset) -> np.ndarray:
    """Which test images a logistic regression on the features of the frozen network gets right."""
    from sklearn.linear_model import LogisticRegression

    compiled = trainer.compiled
    network, state = compiled.head_only.split_network, compiled.initial_state(config, 0, averaged=False)
    state = compiled.network.as_tensors(state)
    splits = (data.train(), data.val(), data.test())
    train, val, test = ((network.features(state, split), np.asarray(split.labels)) for split in splits)
    models = [LogisticRegression(C=c, max_iter=2000).fit(*train) for c in REGULARISATION]
    chosen = max(models, key=lambda model: model.score(*val))
    both = [np.concatenate(parts) for parts in zip(train, val, strict=True)]
    right: np.ndarray = chosen.fit(*both).predict(test[0]) == test[1]
    return right


def show_draws(space: Space, data: Dataset, draws: int, epochs: int, seed: int) -> None:
    """Train random configurations in full, and print how many end near the best."""
    from toprung.search.strategy.sampling.samplers import sample
    from toprung.trainables.models.family import load_family
    from toprung.trainables.training.trainer_cache import TrainerCache

    task, warm, family, ends = task_of(data, epochs), TrainerCache(4), load_family("transfer"), []
    for number in range(draws):
        config = sample(space, "random", seed, number).config
        trainer = warm.trainer(family, config, task)
        trainer.reset(config, number)
        curve = [trainer.train_epoch(epoch)["val_accuracy"] for epoch in range(1, epochs + 1)]
        ends.append(curve[-1])
        told = {name: config[name] for name in ("optimizer", "learning_rate", "deep_rate") if name in config}
        print(f"{ends[-1]:.3f} best {max(curve):.3f} {told}", flush=True)
    near = np.mean(np.array(ends) >= NEAR * max(ends))
    print(
        f"{near:.0%} of {draws} end within {NEAR} of the best, {max(ends):.3f}; median {np.median(ends):.3f}"
    )


def task_of(data: Dataset, max_epochs: int) -> Task:
    """The task of a data set."""
    from toprung.trainables.task.task import Task

    return Task(data.image_shape, data.classes, max_epochs, data.train(), data.val(), data.task_type)


def _show(name: str, rows: Sequence[Row]) -> None:
    """Both accuracies, and the difference with its standard error over the test images."""
    ours, theirs = (
        np.concatenate(parts) for parts in zip(*((row.ours, row.theirs) for row in rows), strict=True)
    )
    difference = ours.astype(float) - theirs
    error = difference.std() / np.sqrt(len(difference))
    secs = [np.mean([getattr(row, which) for row in rows]) for which in ("our_secs", "their_secs")]
    print(
        f"{name:8} search {ours.mean():.4f} ({secs[0]:.0f} s), regression {theirs.mean():.4f} ({secs[1]:.0f} s): "
        f"{difference.mean():+.4f} (standard error {error:.4f}; only search right {np.sum(ours & ~theirs)}, "
        f"only regression right {np.sum(~ours & theirs)})",
        flush=True,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder with a folder of images for each class")
    parser.add_argument("--weights", default="imagenet", help="as space.fixed.weights")
    parser.add_argument("--backbone", default="MobileNetV2")
    parser.add_argument("--alpha", type=float, default=0.35)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--minutes", type=float, default=4.0, help="of search and retraining together")
    parser.add_argument("--epochs", type=int, default=27, help="of a full training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=0, help="random configurations to train instead")
    return parser.parse_args()


if __name__ == "__main__":
    main()
