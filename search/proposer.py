"""Where the next trial comes from: the user's own points, a spread-out design, or a model of one rung."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.ladder import Rung
from search.sampler import Observation, Point, Space, draw, subseed

ENOUGH_RESULTS = 8  # a model of fewer results than this knows less than an even spread
RANDOM_SHARE = 3  # one proposal in so many ignores the model, so that no region is given up for good
REDRAWS = 100  # a space that gives no new point in so many draws is taken to be used up


@dataclass(frozen=True)
class Evidence:
    """What is known when a proposal is made; all of it follows from the reports and the outcomes."""

    rungs: Sequence[Rung]
    first_rung: int
    points: Mapping[int, Point]
    running: Iterable[int]
    failed: Iterable[int]


@dataclass(frozen=True)
class Proposer:
    """Proposal `number` as a function of (seed, number, evidence), without repeating a configuration."""

    space: Space
    sampler: str
    seed: int
    initial: Sequence[Mapping[str, Any]] = ()

    def propose(self, number: int, evidence: Evidence, taken: set[str]) -> tuple[Point, str] | None:
        """A point not in `taken` (see `key`) and one line why; None when the space holds no new point."""
        if number < len(self.initial):
            return self._drawn("random", number, 0, (), self.initial[number]), "given by the job"
        sampler, history, why = self._source(number, evidence)
        for attempt in range(REDRAWS):
            if attempt == REDRAWS // 4:
                sampler, history = "random", []
            point = self._drawn(sampler, number, attempt, history)
            if key(point.config) not in taken:
                return point, why
        return None

    def _source(self, number: int, evidence: Evidence) -> tuple[str, list[Observation], str]:
        rung = modelled_rung(evidence.rungs, evidence.first_rung)
        if self.sampler in ("random", "qmc"):
            return self.sampler, [], self.sampler
        if rung is None:
            return "random", [], "random: no rung has enough results to model yet"
        if subseed(self.seed, "share", number) % RANDOM_SHARE == 0:
            return "random", [], f"random: one proposal in {RANDOM_SHARE} ignores the model"
        return (
            self.sampler,
            observations(rung, evidence),
            f"{self.sampler} on {len(rung)} results of rung {rung.epoch}",
        )

    def _drawn(
        self,
        sampler: str,
        number: int,
        attempt: int,
        history: Sequence[Observation],
        fixed: Mapping[str, Any] | None = None,
    ) -> Point:
        seed = subseed(self.seed, attempt) if attempt else self.seed
        return draw(self.space, sampler, seed, number, history, fixed)


def modelled_rung(rungs: Sequence[Rung], first_rung: int) -> Rung | None:
    """The highest rung with enough results to fit a model to; None when there is none yet."""
    usable = [rung for rung in rungs if len(rung) >= ENOUGH_RESULTS and rung.epoch >= first_rung]
    return usable[-1] if usable else None


def observations(rung: Rung, evidence: Evidence) -> list[Observation]:
    """The results of a rung, the running trials that will reach it, and failures as worse than anything seen."""
    worst = min(rung.scores.values())
    seen = {number: score for number, score in rung.scores.items()}
    spread = max(rung.scores.values()) - worst
    failed = {number: worst - spread for number in evidence.failed if number not in seen}
    waiting = {number: None for number in evidence.running if number not in seen}
    return [
        Observation(number, evidence.points[number], score)
        for number, score in {**waiting, **failed, **seen}.items()
        if number in evidence.points
    ]


def key(config: Mapping[str, Any]) -> str:
    """Equal for equal configurations, whatever the order of their names."""
    return json.dumps(config, sort_keys=True, default=repr)
