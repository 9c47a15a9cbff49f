"""Rungs and the decisions taken on them: pure, integer epochs, no clock, no I/O.

Asynchronous successive halving (ASHA; Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning",
Algorithm 2): eta is our `reduction_factor`, r our `rungs[0]`, R our `max_epochs`. Ours differs in three ways: no cut on
fewer results than eta, ties go to the earlier trial, and the stopping variant is the default.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum


class Decision(StrEnum):
    """What a trial does after a report: go on, end, or wait with its checkpoint for a promotion."""

    KEEP = "KEEP"
    STOP = "STOP"
    PAUSE = "PAUSE"


def rung_epochs(max_epochs: int, reduction_factor: int, min_epochs: int = 1) -> tuple[int, ...]:
    """The epochs at which trials are compared: min_epochs * reduction_factor^k below max_epochs, then max_epochs."""
    epochs = []
    epoch = min_epochs
    while epoch < max_epochs:
        epochs.append(epoch)
        epoch *= reduction_factor
    return (*epochs, max_epochs)


@dataclass
class Rung:
    """The scores trials reached at one epoch; higher is better, an equal score of an earlier trial is better."""

    epoch: int
    scores: dict[int, float] = field(default_factory=dict)
    _ordered: list[tuple[float, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._ordered)

    def add(self, number: int, score: float) -> int:
        """Record a score; returns its rank among all recorded so far, 0 the best."""
        self.scores[number] = score
        entry = (-score, number)
        insort(self._ordered, entry)
        return bisect_left(self._ordered, entry)

    def best_first(self) -> Iterator[tuple[int, float]]:
        """(trial number, score) from the best to the worst."""
        return ((number, -negated) for negated, number in self._ordered)

    def score_at(self, rank: int) -> float:
        """The score of the given rank, 0 the best."""
        return -self._ordered[rank][0]


@dataclass(frozen=True)
class Verdict:
    """A decision with its evidence: the trial's score, and the lowest kept score among `peers` results at `rung`."""

    decision: Decision
    rung: int
    score: float
    cutoff: float
    peers: int


class Ladder:
    """Keeps the top 1/reduction_factor of every rung; O(log n) comparisons per report.

    Scores are finite floats, higher is better (non-finite ones must not come here: the strategy ends such trials).
    `first_rung` is the lowest epoch at which anything is cut; results below it are recorded all the same.
    """

    def __init__(self, rungs: tuple[int, ...], reduction_factor: int = 3, pauses: bool = False) -> None:
        self.rungs = tuple(Rung(epoch) for epoch in rungs)
        self.reduction_factor = reduction_factor
        self.pauses = pauses
        self.first_rung = rungs[0]
        self._reached: dict[int, int] = {}

    def reached(self, number: int) -> int:
        """The epoch of the highest rung the trial has a score at; 0 when none."""
        return self._reached.get(number, 0)

    def report(self, number: int, epoch: int, score: float) -> Verdict | None:
        """Record a score; None when the epoch completes no further rung of this trial, else the verdict there."""
        rung = self._completed_by(number, epoch)
        if rung is None:
            return None
        rank = rung.add(number, score)
        self._reached[number] = rung.epoch
        return self._verdict(rung, rank, score)

    def promotable(self, waiting: set[int]) -> int | None:
        """The waiting trial to resume: the best one within the top 1/reduction_factor of the highest rung possible."""
        for rung in reversed(self.rungs[:-1]):
            quota = len(rung) // self.reduction_factor if rung.epoch >= self.first_rung else len(rung)
            for (number, _), _ in zip(rung.best_first(), range(quota), strict=False):
                if number in waiting and self._reached[number] == rung.epoch:
                    return number
        return None

    def _completed_by(self, number: int, epoch: int) -> Rung | None:
        above = self.reached(number)
        passed = [rung for rung in self.rungs if above < rung.epoch <= epoch]
        return passed[-1] if passed else None

    def _verdict(self, rung: Rung, rank: int, score: float) -> Verdict:
        peers = len(rung)
        quota = max(1, peers // self.reduction_factor)
        enough = peers >= self.reduction_factor and rung.epoch >= self.first_rung
        decision = Decision.KEEP
        if rung is not self.rungs[-1]:
            if self.pauses:
                decision = Decision.PAUSE
            elif enough and rank >= quota:
                decision = Decision.STOP
        return Verdict(decision, rung.epoch, score, rung.score_at(quota - 1), peers)
