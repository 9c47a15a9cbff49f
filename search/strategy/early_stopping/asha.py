"""Rungs and the decisions taken on them: pure, integer epochs, no clock, no I/O.

Asynchronous successive halving (ASHA; Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning",
Algorithm 2): eta is our `reduction_factor`, r our `rungs[0]`, R our `max_epochs`. Ours differs in four ways: no cut on
fewer results than eta; ties go to the earlier trial; the stopping variant is the default; and a trial is cut only when
it stands below the top 1/eta of all results and of the latest 9 eta. The history alone goes stale: once a sampler finds
configurations that start slowly and end well, the fast starters of the first hour would cut every one of them.
Between two rungs a trial is cut when it has trained longer and is still below those who passed the last one.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple

from toprung.search.strategy.early_stopping.rung import Rung
from toprung.trainables.trial.objectives import Objectives

LATEST_SURVIVORS = 9  # how many of the latest results stand above the cut among them


class Decision(StrEnum):
    """What a trial does after a report: go on, end, or wait with its checkpoint for a promotion."""

    KEEP = "KEEP"
    STOP = "STOP"
    PAUSE = "PAUSE"


class RungDecision(NamedTuple):
    """A decision with its evidence: the trial's score, and the lowest kept score among `peers` results at `rung`."""

    decision: Decision
    rung: int
    score: float
    cutoff: float
    peers: int
    arrived: bool  # whether this report was the first at the rung


class SuccessiveHalving:
    """Keeps the top 1/reduction_factor of every rung; O(log n + reduction_factor) comparisons per report.

    A trial is held against its last rung again at every report, by what it has reached since: one let through for want
    of peers, or before better ones came, does not train on to the end, but one that started slowly may catch up. Scores
    are finite floats, higher is better (non-finite ones must not come here: the strategy ends such trials). Below
    `first_rung` nothing is cut, results are recorded all the same.
    """

    def __init__(
        self,
        rungs: tuple[int, ...],
        reduction_factor: int = 3,
        pauses: bool = False,
        rung_type: type[Rung] = Rung,
    ) -> None:
        self.rungs = tuple(rung_type(epoch) for epoch in rungs)
        self.reduction_factor = reduction_factor
        self.pauses = pauses
        self.first_rung = rungs[0]
        self.paused: set[int] = set()
        self._latest = LATEST_SURVIVORS * reduction_factor
        self._reached: dict[int, int] = {}
        self._none_promotable = False

    def reached(self, number: int) -> int:
        """The epoch of the highest rung the trial has a score at; 0 when none."""
        position = self._reached.get(number)
        return 0 if position is None else self.rungs[position].epoch

    def report(self, number: int, epoch: int, score: Any) -> RungDecision | None:
        """Record a score; returns the verdict at the trial's last rung, None when it goes on between two rungs.

        The score is what the rungs take: a float, or a tuple for several objectives.
        """
        self.paused.discard(number)  # who reports trains: a replay hears of a promotion in no other way
        position = self._reached.get(number, -1)
        arrived = False
        # A trial that does not report every epoch counts at the highest rung it has passed.
        while position + 1 < len(self.rungs) and self.rungs[position + 1].epoch <= epoch:
            position, arrived = position + 1, True
        if position < 0:
            return None
        rung = self.rungs[position]
        if arrived:
            self._reached[number] = position
            rung.add(number, score)
            self._none_promotable = False
        rank_score = rung.rank_score(number, score)
        decision = self._decision(rung, number, rank_score, arrived)
        if decision is Decision.PAUSE:
            self.paused.add(number)
        if decision is Decision.KEEP and not arrived:
            return None
        peers = len(rung)
        cutoff = rung.score_at(self._quota(peers) - 1)
        return RungDecision(decision, rung.epoch, rank_score, cutoff, peers, arrived)

    def promotable(self) -> int | None:
        """The paused trial to resume: the best within the top 1/reduction_factor of the highest rung possible.

        After those, one within the top of the latest results. Where there is none, none is looked for again before
        the rungs have another result: hundreds of workers may ask.
        """
        if not self.paused or self._none_promotable:
            return None
        found = self._best_promotable()
        self._none_promotable = found is None
        return found

    def _best_promotable(self) -> int | None:
        for position in reversed(range(len(self.rungs) - 1)):
            rung = self.rungs[position]
            quota = len(rung) // self.reduction_factor if rung.epoch >= self.first_rung else len(rung)
            for number in islice(rung.best_first(), quota):
                if number in self.paused and self._reached[number] == position:
                    return number
            for number in rung.latest(self._latest):
                waits = number in self.paused and self._reached[number] == position
                if waits and self._is_in_top_of_latest(rung, number, rung.score(number)):
                    return number
        return None

    def best_paused(self) -> int | None:
        """The best paused trial of the highest rung that has one; None once a trial was fully trained."""
        if len(self.rungs[-1]):
            return None
        highest = (n for rung in reversed(self.rungs) for n in rung.best_first() if n in self.paused)
        return next(highest, None)

    def _is_in_top_of_latest(self, rung: Rung, number: int, rank_score: float) -> bool:
        """Whether the trial is in the top 1/reduction_factor of the latest results, once they are not all of them."""
        if len(rung) <= self._latest:
            return False
        return rung.is_in_top_of_latest(number, rank_score, self._latest, LATEST_SURVIVORS)

    def _quota(self, peers: int) -> int:
        return max(1, peers // self.reduction_factor)

    def _decision(self, rung: Rung, number: int, rank_score: float, arrived: bool) -> Decision:
        if rung is self.rungs[-1]:
            return Decision.KEEP
        if self.pauses:
            return Decision.PAUSE if arrived else Decision.KEEP
        peers = len(rung)
        if peers < self.reduction_factor or rung.epoch < self.first_rung:
            return Decision.KEEP
        is_in_top = rung.is_in_top(number, rank_score, self._quota(peers))
        return (
            Decision.KEEP
            if is_in_top or self._is_in_top_of_latest(rung, number, rank_score)
            else Decision.STOP
        )


def cut_line(objectives: Objectives, verdict: RungDecision, reduction_factor: int) -> str:
    """Why a trial was cut, in the metric's own sign; after a rung where its later values were held against it."""
    where = f"cut {'at' if verdict.arrived else 'after'} rung {verdict.rung}"
    sign = objectives.signs[0] if len(objectives.signs) == 1 else -1.0
    score, cutoff = sign * verdict.score, sign * verdict.cutoff
    differs, earlier = ("<" if sign > 0 else ">", "") if score != cutoff else ("=", " of an earlier trial")
    given, least = _told_apart(score, cutoff)
    given += "" if len(objectives.signs) == 1 else " dominate it"
    return f"{where}: {given} {differs} {least}{earlier} (top 1/{reduction_factor} of {verdict.peers})"


def _told_apart(one: float, other: float) -> tuple[str, str]:
    """Both in four digits, or in as many as tell them apart."""
    pairs = [(f"{one:.{digits}g}", f"{other:.{digits}g}") for digits in range(4, 18)]
    return next((pair for pair in pairs if pair[0] != pair[1]), pairs[0])
