"""Where the next trial comes from: the user's own points, a blind draw, or a model of what was seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np

from toprung.search.strategy.early_stopping.pareto import ParetoRung
from toprung.search.strategy.early_stopping.rung import Rung
from toprung.search.strategy.sampling.points import Observation, Point, Space, subseed
from toprung.search.strategy.sampling.samplers import DEFAULT, sample
from toprung.search.strategy.surrogate.model import RungModel

BLIND = ("random", "qmc")  # samplers that look at no result
ENOUGH_RESULTS = 4  # a model of fewer results than this knows less than an even spread, whatever the space


# As many results as a trial has parameters are the fewest that tell the effect of each. In wide spaces few parameters
# matter (Bergstra & Bengio 2012, "Random Search for Hyper-Parameter Optimization"), and nobody waits for all.
MOST_AWAITED = 12
COUNTED = 16  # trials whose parameters are counted
ENOUGH_TO_CORRECT = 3  # results a higher rung needs before it corrects the lower ones
RANDOM_SHARE = 10  # one proposal in so many ignores the model, so that no region is given up for good
MODEL_DRAWS = 3  # times the model is asked again when its proposal has been tried before
REDRAWS = 100  # a space that gives no new point in so many draws is taken to be used up
MODELLED = 256  # results shown to one of Optuna's samplers at most, half of them the best, half the latest


@dataclass(frozen=True)
class Evidence:
    """What is known when a proposal is made; all of it follows from the reports and the outcomes."""

    rungs: Sequence[Rung]
    prior: Sequence[Rung]
    first_rung: int
    points: Mapping[int, Point]
    running: Collection[int]
    failed: Collection[int]
    epoch_secs: dict[int, float] = field(default_factory=dict)  # of trials, where time is weighed


@dataclass(frozen=True)
class Proposer:
    """Proposal `number` as a function of (seed, number, evidence), without repeating a configuration."""

    space: Space
    sampler: str
    seed: int
    initial: Sequence[Mapping[str, Any]] = ()
    model: RungModel = field(default_factory=RungModel)

    def propose(self, number: int, evidence: Evidence, taken: Collection[str]) -> tuple[Point, str] | None:
        """A point not in `taken` (see `key`) and one line why; None when the space holds no new point."""
        if self.sampler not in BLIND:
            evidence = _weighted(evidence, subseed(self.seed, "weights", number))
        if number < len(self.initial):
            why = "first: given by the job or usual in its space"
            return self._drawn("random", number, fixed=self.initial[number]), why
        why, source = self._source(number, evidence)
        for attempt in range(REDRAWS):
            point = source(attempt) if attempt < MODEL_DRAWS else self._drawn("random", number, attempt)
            if config_key(point.config) not in taken:
                return point, why
        return None

    def prepare(self, evidence: Evidence) -> None:
        """Do ahead what the next proposal would begin with, while nobody waits for it; changes no proposal."""
        if self.sampler == DEFAULT and (rungs := self._modelled(evidence)):
            self.model.prepare(rungs, evidence.points)

    def _source(self, number: int, evidence: Evidence) -> tuple[str, Callable[[int], Point]]:
        """Why, and the draw of a given attempt."""
        blind = "qmc" if self.sampler == "qmc" else "random"
        modelled = [] if self.sampler in BLIND else self._modelled(evidence)
        if not modelled:
            why = blind if blind == self.sampler else f"{blind}: no rung has enough results to model yet"
            return why, lambda attempt: self._drawn(blind, number, attempt)
        if subseed(self.seed, "share", number) % RANDOM_SHARE == 0:
            why = f"random: one proposal in {RANDOM_SHARE} ignores the model"
            return why, lambda attempt: self._drawn("random", number, attempt)
        top = modelled[-1]
        why = f"{self.sampler} on {len(top)} results of rung {top.epoch}"
        if self.sampler == DEFAULT:
            return why, lambda attempt: self._stacked(number, attempt, modelled, evidence)
        history = observations(top, evidence)
        return why, lambda attempt: self._drawn(self.sampler, number, attempt, history)

    def _modelled(self, evidence: Evidence) -> list[Rung]:
        """The rungs to model, lowest first; none while there is too little to go by."""
        if self.sampler != DEFAULT:
            trusted = [rung for rung in evidence.rungs if rung.epoch >= evidence.first_rung]
            return [rung for rung in [*evidence.prior, *trusted] if len(rung) >= ENOUGH_RESULTS][-1:]
        rungs = [rung for rung in [*evidence.prior, *evidence.rungs] if len(rung) >= ENOUGH_TO_CORRECT]
        seen = sum(max(map(len, part), default=0) for part in (evidence.prior, evidence.rungs))
        if seen >= MOST_AWAITED:
            return rungs
        return rungs if seen >= max(ENOUGH_RESULTS, _open_parameters(evidence.points)) else []

    def _stacked(self, number: int, attempt: int, rungs: Sequence[Rung], evidence: Evidence) -> Point:
        rng = np.random.default_rng((self.seed, number, attempt))
        prior = [rung for rung in rungs if rung in evidence.prior]
        own = rungs[len(prior) :]
        params = self.model.propose(
            prior, own, evidence.points, evidence.running, evidence.failed, evidence.epoch_secs, rng
        )
        # A value that another parameter's choice has made impossible is drawn again, at random.
        return self._drawn("random", number, attempt, fixed=params)

    def _drawn(
        self,
        sampler: str,
        number: int,
        attempt: int = 0,
        history: Sequence[Observation] = (),
        fixed: Mapping[str, Any] | None = None,
    ) -> Point:
        seed = subseed(self.seed, attempt) if attempt else self.seed
        return sample(self.space, sampler, seed, number, history, fixed)


def _open_parameters(points: Mapping[int, Point]) -> int:
    """How many parameters with a choice a trial has, the median of the first trials: some exist in some trials only."""
    first = islice(points.values(), COUNTED)
    counts = sorted(sum(not kind.single() for kind in point.distributions.values()) for point in first)
    return counts[len(counts) // 2] if counts else 0


def _weighted(evidence: Evidence, seed: int) -> Evidence:
    """The evidence with several objectives made one by the random weights of this proposal."""
    if not any(isinstance(rung, ParetoRung) for rung in evidence.rungs):
        return evidence

    def weighted(rungs: Sequence[Rung]) -> list[Rung]:
        # Uniform over all weightings that add up to one.
        return [
            rung.weighted(np.random.default_rng(seed).dirichlet(np.ones(len(rung.weights))))
            for rung in rungs
            if isinstance(rung, ParetoRung) and len(rung)
        ]

    return replace(evidence, rungs=weighted(evidence.rungs), prior=weighted(evidence.prior))


def observations(rung: Rung, evidence: Evidence) -> list[Observation]:
    """The results of a rung, the running trials that will reach it, and failures as worse than anything seen."""
    best = list(islice(rung.best_first(), MODELLED // 2))
    kept = {*best, *islice(reversed(rung.scores), MODELLED // 2)}
    seen: dict[int, float | None] = {number: rung.scores[number] for number in kept}
    worst, spread = rung.score_at(len(rung) - 1), rung.score_at(0) - rung.score_at(len(rung) - 1)
    failed = dict.fromkeys(sorted(evidence.failed)[-MODELLED // 4 :], worst - spread)
    waiting = dict.fromkeys(sorted(evidence.running)[-MODELLED // 4 :])
    reached = {number: score for number, score in {**waiting, **failed}.items() if number not in rung.scores}
    return [
        Observation(number, evidence.points[number], score)
        for number, score in sorted({**reached, **seen}.items())
        if number in evidence.points
    ]


def config_key(config: Mapping[str, Any]) -> str:
    """Equal for equal configurations, whatever the order of their names."""
    return json.dumps(config, sort_keys=True, default=_written)


def _written(value: Any) -> Any:
    # What numpy prints of a large array leaves its middle out.
    return value.tolist() if isinstance(value, np.ndarray) else repr(value)
