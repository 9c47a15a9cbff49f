"""What is known when a proposal is made."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from toprung.search.strategy.early_stopping.pareto import ParetoRung
from toprung.search.strategy.early_stopping.rung import Rung
from toprung.search.strategy.sampling.points import Observation, Point
from toprung.search.strategy.surrogate.feasibility import BoundedValues

OBSERVED = 256  # results shown to one of Optuna's samplers at most, half of them the best, half the latest


@dataclass(frozen=True)
class Evidence:
    """What is known when a proposal is made; all of it follows from the reports and the outcomes.

    Attributes:
        rungs: The rungs of this run, lowest first.
        prior: The rungs of earlier runs that have results, lowest first.
        first_rung: The epoch of the lowest rung worth cutting at.
        points: The point of each trial by number; trials of earlier runs have negative numbers.
        running: The trials that are neither ended nor paused.
        failed: The trials whose end counts against their configuration, and the epoch at which they ended.
        epoch_secs: Seconds of an epoch by trial; empty where time is not weighed.
        explained: The share of the variance at a rung that the rung below explains.
        unseen: How many rungs lie above all those here.
        bounded: What was measured of the bounded metrics.
    """

    rungs: Sequence[Rung]
    prior: Sequence[Rung]
    first_rung: int
    points: Mapping[int, Point]
    running: Collection[int]
    failed: Mapping[int, int]
    epoch_secs: dict[int, float] = field(default_factory=dict)
    explained: float = 1.0
    unseen: int = 0
    bounded: Sequence[BoundedValues] = ()

    @property
    def levels(self) -> list[Rung]:
        """All rungs, lowest first, those of earlier runs before those of this run."""
        return [*self.prior, *self.rungs]

    @property
    def most_results(self) -> int:
        """The results of the rung of this run that has most, and of that of earlier runs, added up."""
        return sum(max(map(len, rungs), default=0) for rungs in (self.prior, self.rungs))

    @property
    def outlived(self) -> dict[int, float]:
        """The scores of the trials that reached a rung beyond the epoch by which nine in ten of the failed had ended.

        A trial that was stopped before might have failed as well.
        """
        ended = sorted(self.failed.values())
        beyond = (rung for rung in self.rungs if ended and rung.epoch >= ended[-1 - len(ended) // 10])
        return next((rung.scores for rung in beyond), {})

    @property
    def predicts_the_end(self) -> bool:
        """Whether the highest rung here may explain at least half the variance after the full training."""
        return self.explained**self.unseen >= 0.5

    def at_least(self, results: int) -> Evidence:
        """The evidence without the rungs that have fewer results."""
        prior = [rung for rung in self.prior if len(rung) >= results]
        enough = [len(rung) >= results for rung in self.rungs]
        # Earlier runs, where there are any, have shown what comes later.
        unseen = 0 if prior or not any(enough) else enough[::-1].index(True)
        rungs = [rung for rung, has_enough in zip(self.rungs, enough, strict=True) if has_enough]
        return replace(self, rungs=rungs, prior=prior, unseen=unseen)

    def weighted(self, seed: int) -> Evidence:
        """The evidence with one score for all objectives, by random weights; itself where there is one objective."""
        if not any(isinstance(rung, ParetoRung) for rung in self.rungs):
            return self
        return replace(self, rungs=_weighted(self.rungs, seed), prior=_weighted(self.prior, seed))

    def observations(self, rung: Rung) -> list[Observation]:
        """Results of a rung for an Optuna sampler, in the order of the trial numbers.

        The running trials that have not reached it have no score yet; failed ones, and those beyond a bound, score
        worse than any result.
        """
        best = list(islice(rung.best_first(), OBSERVED // 2))
        kept = {*best, *islice(reversed(rung.scores), OBSERVED // 2)}
        scored = {number: rung.scores[number] for number in kept}
        worst, spread = rung.score_at(len(rung) - 1), rung.score_at(0) - rung.score_at(len(rung) - 1)
        beyond = {number for one in self.bounded for number in one.beyond()}
        failed = dict.fromkeys(sorted({*self.failed, *beyond})[-OBSERVED // 4 :], worst - spread)
        running = dict.fromkeys(sorted(self.running)[-OBSERVED // 4 :])
        others = {
            number: score for number, score in {**running, **failed}.items() if number not in rung.scores
        }
        return [
            Observation(number, self.points[number], score)
            for number, score in sorted({**others, **scored}.items())
            if number in self.points
        ]


def _weighted(rungs: Sequence[Rung], seed: int) -> list[Rung]:
    # A flat Dirichlet draw is uniform over all weights that add up to one.
    return [
        rung.weighted(np.random.default_rng(seed).dirichlet(np.ones(len(rung.weights))))
        for rung in rungs
        if isinstance(rung, ParetoRung) and len(rung)
    ]
