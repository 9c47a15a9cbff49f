"""A search within the minutes it is given, in this process, and its winner trained again, for accuracy.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from accuracy_training import (
    Clock,
    ResultLine,
    first_config,
    on_clock,
    second_epoch_secs,
    task_of,
    trained,
)

if TYPE_CHECKING:
    from toprung.search.loop.epoch_pace import EpochPace
    from toprung.search.strategy.strategy import Strategy
    from toprung.spaces.families.registry import Space
    from toprung.trainables.data.dataset import Dataset
    from toprung.trainables.models.family import Family
    from toprung.trainables.training.trainer import Trainer

SEARCH_SHARE = 0.6


class Found(NamedTuple):
    """A trial of the search: its validation accuracy after each epoch, its seconds of training, and what it trained.

    Epochs before the first rung have -1: the winner is trained to its end, and they say nothing of it.
    """

    values: Sequence[float]
    secs: float
    config: Mapping[str, Any]

    @property
    def accuracy(self) -> float:
        """The best validation accuracy."""
        return max(self.values, default=-1.0)


class SearchTiming(NamedTuple):
    """The clock of a search, when it ends, the epochs of a full training, and how fast its trials train."""

    clock: Clock
    until: float
    max_epochs: int
    pace: EpochPace


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
        values, spent = one_trial(strategy, trainer, proposal.trial_id, timing)
        found.append(Found(values, spent, proposal.config))
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
    searched_secs = clock() - began
    line = trained(f"search {space.name}", space.name, best.config, data, secs - searched_secs, clock, seed)
    return line._replace(minutes=line.minutes + searched_secs / 60)


def planned_epochs(family: Family, space: Space, data: Dataset, secs: float, clock: Clock) -> int:
    """The epochs of a full training, as a search plans them: by an epoch of the first configuration."""
    from toprung.search.preparation.planned_epochs import epochs_within
    from toprung.search.preparation.space_walks import sampled_configs
    from toprung.search.preparation.tuned_epochs import fewest_epochs
    from toprung.spaces.families.transfer import TRANSFER
    from toprung.trainables.probes.epoch_probe import part_of
    from toprung.trainables.training.trainer import Trainer

    part, share = part_of(task_of(data, 2))
    trainer = Trainer(family, first_config(space.name, space.fixed), part)
    fewest = fewest_epochs(sampled_configs(space)) if space.name == TRANSFER else 1
    return epochs_within(secs, second_epoch_secs(trainer, clock) / share, fewest)


def winner(found: Sequence[Found], secs: float) -> Found:
    """The best trial by the epochs that count where `secs` train it again, as by `retrain.hours`.

    Where none counts it is the best by all of its epochs.
    """
    from toprung.search.choice.time_limit import counted_epochs

    def within(trial: Found) -> float:
        fitting = int(secs / trial.secs * len(trial.values)) if trial.values else 0
        return max(trial.values[: counted_epochs(fitting)], default=-1.0)

    best = max(found, key=within)
    return best if within(best) >= 0 else max(found, key=lambda trial: trial.accuracy)


def one_trial(
    strategy: Strategy, trainer: Trainer, trial_id: str, timing: SearchTiming
) -> tuple[Sequence[float], float]:
    """Train one proposal until it is stopped or the time is over: the values of `Found`, its seconds."""
    from toprung.search.strategy.strategy import Decision
    from toprung.trainables.trial.report import EpochReport, Outcome

    clock, until, max_epochs, pace = timing
    values, spent, began = list[float](), 0.0, clock()
    limit = pace.limit(trial_id, until - clock())
    if limit and limit.why_too_slow(on_clock(clock, trainer.epoch_secs), max_epochs):
        strategy.finish(trial_id, Outcome.STOPPED)
        return values, clock() - began
    for epoch in range(1, max_epochs + 1):
        metrics = trainer.train_epoch(epoch)
        pace.add(trial_id, epoch, clock() - began - spent)
        spent = clock() - began
        decision = strategy.report(EpochReport(trial_id, epoch, metrics, elapsed_secs=spent))
        values.append(metrics["val_accuracy"] if epoch >= strategy.rung_epochs[0] else -1.0)
        is_too_slow = pace.why_too_slow(trial_id, max_epochs - epoch, until - clock())
        if decision is not Decision.KEEP or clock() > until or is_too_slow:
            strategy.finish(trial_id, Outcome.STOPPED)
            return values, spent
    strategy.finish(trial_id, Outcome.COMPLETED)
    return values, spent
