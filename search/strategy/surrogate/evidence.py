"""What is known when a proposal is made."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from toprung.search.strategy.early_stopping.pareto import ParetoRung
from toprung.search.strategy.early_stopping.rung import Rung
from toprung.search.strategy.sampling.points import Observation, Point

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
        failed: The trials whose end counts against their configuration.
        epoch_secs: Seconds of an epoch by trial; empty where time is not weighed.
    """

    rungs: Sequence[Rung]
    prior: Sequence[Rung]
    first_rung: int
    points: Mapping[int, Point]
    running: Collection[int]
    failed: Collection[int]
    epoch_secs: dict[int, float] = field(default_factory=dict)

    @property
    def levels(self) -> list[Rung]:
        """All rungs, lowest first, those of earlier runs before those of this run."""
        return [*self.prior, *self.rungs]

    @property
    def most_results(self) -> int:
        """The results of the rung of this run that has most, and of that of earlier runs, added up."""
        return sum(max(map(len, rungs), default=0) for rungs in (self.prior, self.rungs))

    def at_least(self, results: int) -> Evidence:
        """The evidence without the rungs that have fewer results."""
        return replace(
            self,
            rungs=[rung for rung in self.rungs if len(rung) >= results],
            prior=[rung for rung in self.prior if len(rung) >= results],
        )

    def weighted(self, seed: int) -> Evidence:
        """The evidence with one score for all objectives, by random weights; itself where there is one objective."""
        if not any(isinstance(rung, ParetoRung) for rung in self.rungs):
            return self
        return replace(self, rungs=_weighted(self.rungs, seed), prior=_weighted(self.prior, seed))

    def observations(self, rung: Rung) -> list[Observation]:
        """Results of a rung for an Optuna sampler, in the order of the trial numbers.

        The running trials that have not reached it have no score yet; failed ones score worse than any result.
        """
        best = list(islice(rung.best_first(), OBSERVED // 2))
        kept = {*best, *islice(reversed(rung.scores), OBSERVED // 2)}
        scored = {number: rung.scores[number] for number in kept}
        worst, spread = rung.score_at(len(rung) - 1), rung.score_at(0) - rung.score_at(len(rung) - 1)
        failed = dict.fromkeys(sorted(self.failed)[-OBSERVED // 4 :], worst - spread)
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
