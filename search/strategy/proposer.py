"""The next configuration: one of the user's, a random one, or what a model of the results proposes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, NamedTuple, Self

import numpy as np

from toprung.search.strategy.initial_configs import check_initial_configs, completed, near
from toprung.search.strategy.prior_trust import trust_in
from toprung.search.strategy.sampling.optuna_samplers import OPTUNA_SAMPLERS
from toprung.search.strategy.sampling.points import Observation, Point, Space, config_key, subseed
from toprung.search.strategy.sampling.samplers import DEFAULT, check_sampler, sample
from toprung.search.strategy.settings import StrategySettings
from toprung.search.strategy.surrogate.evidence import Evidence
from toprung.search.strategy.surrogate.model import RungModel
from toprung.search.strategy.trials import ProposalKind, ProposalOrigin

ENOUGH_RESULTS = 4  # a model of fewer results knows less than an even spread, whatever the space

# As many results as a trial has parameters are the fewest that show the effect of each. In wide spaces few parameters
# matter (Bergstra & Bengio 2012, "Random Search for Hyper-Parameter Optimization"), so no more than these are awaited.
MOST_AWAITED = 12
COUNTED = 16  # trials whose parameters are counted
ENOUGH_TO_CORRECT = 3  # results that a higher rung needs before it corrects the lower ones
RANDOM_AT_START = (
    3  # before there is a model, one proposal in so many is random and the others may lie near a first one
)
RANDOM_SHARE = 10  # one proposal in so many is random, so that no region is given up for good
MODEL_DRAWS = 3  # draws from the model before a configuration that is not new is replaced by a random one
BOUNDED_DRAWS = 16  # draws without a model of which one that probably keeps the bounds is taken
REDRAWS = 100  # a space that gives no new configuration in so many draws is taken to have none left


class Proposed(NamedTuple):
    """A point to try, and where it comes from."""

    point: Point
    origin: ProposalOrigin

    @property
    def reason(self) -> str:
        """Where it comes from, in one line."""
        return self.origin.reason


Draw = Callable[[int], Proposed]
"""The draw of a proposal at a given attempt: 0 at first, more where the configuration was proposed before."""


@dataclass(frozen=True)
class Proposer:
    """Proposal `number` as a function of (seed, number, evidence), without repeating a configuration.

    Attributes:
        space: The define-by-run space.
        sampler: One of SAMPLERS, or "module:function".
        seed: Of the search.
        initial_configs: Proposed first; parameters they leave out are drawn at random.
        model: The state of the default sampler, which follows from the evidence.
    """

    space: Space
    sampler: str
    seed: int
    initial_configs: Sequence[Mapping[str, Any]] = ()
    model: RungModel = field(default_factory=RungModel)

    @classmethod
    def for_space(cls, space: Space, seed: int, settings: StrategySettings) -> Self:
        """The proposer of a search that has no results.

        Raises:
            InputError: The sampler is unknown, or the space does not allow a value of an initial configuration.
        """
        check_sampler(settings.sampler)
        check_initial_configs(space, settings.initial_configs)
        return cls(space, settings.sampler, int(seed), tuple(settings.initial_configs))

    def propose(self, number: int, evidence: Evidence, taken: Collection[str]) -> Proposed | None:
        """A point that is not `taken` (see `config_key`); None when the space has no new point."""
        if number < len(self.initial_configs):
            point = self.completed(number, self.initial_configs[number])
            reason = "initial: given by the job, or the first configuration of its space"
            return Proposed(point, ProposalOrigin(ProposalKind.FIRST, reason))
        fresh = self._fresh(number, self._source(number, evidence), taken)
        first = next(fresh, None)
        if first is None or not evidence.bounded or self._is_weighed(first.origin):
            return first
        return self._likely([first, *islice(fresh, BOUNDED_DRAWS - 1)], number, evidence)

    def completed(self, number: int, params: Mapping[str, Any]) -> Point:
        """The point of trial `number` with these parameters; those that are left out are drawn at random."""
        return completed(self.space, self.seed, number, params)

    def prepare(self, evidence: Evidence) -> None:
        """Compute ahead what the next proposal would begin with; changes no proposal."""
        if self.sampler == DEFAULT and (modelled := self._modelled(evidence)):
            self.model.prepare(modelled)

    def _fresh(self, number: int, draw: Draw, taken: Collection[str]) -> Iterator[Proposed]:
        """Proposals that are not `taken`, at most REDRAWS of them."""
        stale = 0
        for attempt in range(REDRAWS):
            proposed = draw(attempt)
            if stale >= MODEL_DRAWS:
                reason = f"{proposed.reason}; random, as its {MODEL_DRAWS} draws were not new"
                proposed = self._random(number, reason)(attempt)
            if config_key(proposed.point.config) in taken:
                stale += 1
            else:
                yield proposed

    def _is_weighed(self, origin: ProposalOrigin) -> bool:
        """Whether the model has weighed the proposal by its chance of keeping the bounds."""
        return self.sampler == DEFAULT and origin.kind in (ProposalKind.MODEL, ProposalKind.WARM_START)

    def _likely(self, drawn: Sequence[Proposed], number: int, evidence: Evidence) -> Proposed:
        """A draw that probably keeps the bounds: each in turn is taken with its chance, else the likeliest of all.

        So draws without a model of the results are still spread as they were, over where the bounds are kept.
        """
        chances = self.model.chances(evidence, [one.point for one in drawn])
        is_taken = np.random.default_rng((self.seed, number)).random(len(drawn)) < chances
        return drawn[int(np.argmax(is_taken if is_taken.any() else chances))]

    def _source(self, number: int, evidence: Evidence) -> Draw:
        """How the proposal is drawn."""
        known = OPTUNA_SAMPLERS.get(self.sampler)
        if known is not None and not known.uses_results:
            return self._random(number, self.sampler, self.sampler)
        modelled = self._modelled(evidence.weighted(subseed(self.seed, "weights", number)))
        if modelled is None:
            if self._leans(number, evidence):
                return lambda attempt: self._near_first(number, attempt)
            return self._random(number, "random: no rung that may predict the end has enough results yet")
        if subseed(self.seed, "share", number) % RANDOM_SHARE == 0:
            return self._random(number, f"random: one proposal in {RANDOM_SHARE} ignores the model")
        top = modelled.levels[-1]
        kind = ProposalKind.MODEL if modelled.rungs else ProposalKind.WARM_START
        reason = f"{self.sampler}: model of {len(top)} results at rung {top.epoch}"
        origin = ProposalOrigin(kind, reason, top.epoch)
        if self.sampler == DEFAULT:
            return lambda attempt: self._draw_from_model(number, attempt, modelled, origin)
        history = modelled.observations(top)
        return lambda attempt: Proposed(self._draw(self.sampler, number, attempt, history), origin)

    def _leans(self, number: int, evidence: Evidence) -> bool:
        """Whether a proposal without a model lies near a first configuration; at most two of three do.

        The others are random whatever the results are, and show how far the first ones are to be trusted: each is
        leaned on with a chance of the share of them that it beats.
        """
        if not self.initial_configs or not number % RANDOM_AT_START:
            return False
        drawn = range(len(self.initial_configs), number)
        controls = (one for one in drawn if not one % RANDOM_AT_START)
        chance = trust_in(self._base(number), controls, evidence)
        return bool(np.random.default_rng(subseed(self.seed, "lean", number)).random() < chance)

    def _base(self, number: int) -> int:
        """The first configuration that a proposal lies near, where it lies near one."""
        return subseed(self.seed, "base", number) % len(self.initial_configs)

    def _near_first(self, number: int, attempt: int) -> Proposed:
        """Near one of the first configurations, which are more often good than random ones (Hvarfner et al. 2022).

        Random ones rarely win, and some cost many times as much.
        """
        base = self.initial_configs[self._base(number)]
        seed = subseed(self.seed, "near", attempt)
        origin = ProposalOrigin(
            ProposalKind.PRIOR, "prior: near a first configuration, while there is no model"
        )
        return Proposed(near(self.space, seed, number, base), origin)

    def _random(self, number: int, reason: str, sampler: str = "random") -> Draw:
        origin = ProposalOrigin(ProposalKind.RANDOM, reason)
        return lambda attempt: Proposed(self._draw(sampler, number, attempt), origin)

    def _modelled(self, evidence: Evidence) -> Evidence | None:
        """The evidence with the rungs to model alone; None while there are too few results."""
        if self.sampler != DEFAULT:
            trusted = [rung for rung in evidence.rungs if rung.epoch >= evidence.first_rung]
            modelled = replace(evidence, rungs=trusted).at_least(ENOUGH_RESULTS)
            return modelled if modelled.levels else None
        results = evidence.most_results
        if results < MOST_AWAITED and results < max(ENOUGH_RESULTS, _open_parameters(evidence.points)):
            return None
        modelled = evidence.at_least(ENOUGH_TO_CORRECT)
        return modelled if modelled.levels and modelled.predicts_the_end else None

    def _draw_from_model(
        self, number: int, attempt: int, evidence: Evidence, origin: ProposalOrigin
    ) -> Proposed:
        rng, given = np.random.default_rng((self.seed, number, attempt)), range(len(self.initial_configs))
        candidate = self.model.propose(evidence, rng, given)
        if candidate is None:
            return Proposed(self._draw("random", number, attempt), origin)
        # A value that the choice of another parameter has made impossible is drawn again, at random.
        point = self._draw("random", number, attempt, fixed=candidate.params)
        if len(evidence.levels[-1].weights) > 1:  # the score of a proposal that weighs objectives is its own
            return Proposed(point, origin)
        return Proposed(point, replace(origin, mean=candidate.mean, deviation=candidate.deviation))

    def _draw(
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
    """How many parameters of a trial leave a choice: the median of the first trials, as some have more than others."""
    first = islice(points.values(), COUNTED)
    counts = sorted(sum(not one.single() for one in point.distributions.values()) for point in first)
    return counts[len(counts) // 2] if counts else 0
