"""Asynchronous successive halving: which trials go on after a report. Pure: integer epochs, no clock, no I/O.

ASHA (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", Algorithm 2): eta is our
`reduction_factor`, r our `rungs[0]`, R our `max_epochs`. Ours differs in four ways: it cuts on no fewer than eta
results; of equal scores the earlier trial's counts as better; the stopping variant is the default; and it cuts a trial
only below the top 1/eta of all results and also of the latest 9 eta. All results alone go stale: once a sampler finds
configurations that start slowly and end well, the fast starters of the first hour would cut every one of them.
Between two rungs a trial is cut when it has trained longer and its score is still below the cutoff of its last rung.

Where the winner has to keep bounds, a trial that keeps them goes on if it is in the top 1/eta of those that do,
whatever the others score. The others are compared by their scores alone: they may keep the bounds later, and early in a
training it is often the worst that keep them (an untrained network is well calibrated), so that ranking by violation
first (Deb 2000) would select these.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from itertools import chain, islice
from typing import NamedTuple

from toprung.search.strategy.early_stopping.rung import Rung
from toprung.trainables.trial.objectives import Score

LATEST_SURVIVORS = 9  # how many of the latest results are kept: they are 9 eta, of which the top 1/eta


class Decision(StrEnum):
    """What a trial does after a report: it goes on, ends, or waits with its checkpoint for a promotion.

    PROMOTE answers no report: it is the later decision about a paused trial, that it goes on.
    """

    KEEP = "KEEP"
    STOP = "STOP"
    PAUSE = "PAUSE"
    PROMOTE = "PROMOTE"


class RungDecision(NamedTuple):
    """A decision at a rung, and the scores it rests on.

    Attributes:
        decision: What the trial does.
        rung: The epoch of the rung.
        score: The score the trial is ranked by.
        cutoff: The lowest score that is kept.
        peers: How many results the rung has.
        arrived: Whether the report was the trial's first at the rung; else it trained on and was compared again.
    """

    decision: Decision
    rung: int
    score: float
    cutoff: float
    peers: int
    arrived: bool


class SuccessiveHalving:
    """Keeps the top 1/reduction_factor of every rung; O(log n + reduction_factor) comparisons a report.

    Every report compares the trial with its last rung again, by the best score it has reached since: a trial that was
    kept for lack of peers, or before better ones came, does not train to its end, and a slow starter may catch up.
    Below `first_rung` nothing is cut, but results are recorded.

    Scores are finite, higher is better; the strategy ends trials with non-finite ones before they come here.

    Args:
        rungs: The epochs of the rungs, ascending; the last is the full training.
        reduction_factor: One result in so many is kept.
        pauses: Whether every trial pauses at a rung until it is promoted (the promotion variant).
        rung_type: `Rung` for one objective, `ParetoRung` for several.
        is_bounded: Whether there are bounds, which some trials do not keep.
    """

    def __init__(
        self,
        rungs: tuple[int, ...],
        reduction_factor: int = 3,
        pauses: bool = False,
        rung_type: type[Rung] = Rung,
        is_bounded: bool = False,
    ) -> None:
        self.rungs = tuple(rung_type(epoch) for epoch in rungs)
        self._within_bounds = tuple(rung_type(epoch) for epoch in rungs) if is_bounded else ()
        self.reduction_factor = reduction_factor
        self.pauses = pauses
        self.first_rung = rungs[0]
        self.paused: set[int] = set()
        self._latest = LATEST_SURVIVORS * reduction_factor
        self._reached: dict[int, int] = {}
        self._none_promotable = False

    def reached(self, number: int) -> int:
        """The epoch of the highest rung that the trial has a score at; 0 when none."""
        index = self._reached.get(number)
        return 0 if index is None else self.rungs[index].epoch

    def report(self, number: int, epoch: int, score: Score, keeps_bounds: bool = True) -> RungDecision | None:
        """Record a score.

        Args:
            number: The trial.
            epoch: The epoch it has finished.
            score: A float for `Rung`, a tuple for `ParetoRung`.
            keeps_bounds: Whether the bounds are kept at this epoch.

        Returns:
            The decision at the trial's last rung; None when the trial goes on between two rungs.
        """
        self.paused.discard(
            number
        )  # a trial that reports is training; a replay learns of a promotion this way alone
        index = self._reached.get(number, -1)
        arrived = False
        # A trial that does not report every epoch counts at the highest rung it has passed.
        while index + 1 < len(self.rungs) and self.rungs[index + 1].epoch <= epoch:
            index, arrived = index + 1, True
        if index < 0:
            return None
        rung = self.rungs[index]
        if arrived:
            self._reached[number] = index
            rung.add(number, score)
            self._none_promotable = False
        rank_score = rung.rank_score(number, score)
        decision = self._decision(rung, number, rank_score, arrived)
        within_rank_score = self._record_within_bounds(index, number, score, keeps_bounds)
        if decision is Decision.STOP and self._leads_within_bounds(index, number, within_rank_score):
            decision = Decision.KEEP
        if decision is Decision.PAUSE:
            self.paused.add(number)
        if decision is Decision.KEEP and not arrived:
            return None
        peers = len(rung)
        cutoff = rung.score_at(self._quota(peers) - 1)
        return RungDecision(decision, rung.epoch, rank_score, cutoff, peers, arrived)

    def promotion(self, number: int) -> RungDecision:
        """The decision that a trial which paused at its last rung goes on, and the scores there now."""
        rung = self.rungs[self._reached[number]]
        peers = len(rung)
        cutoff = rung.score_at(self._quota(peers) - 1)
        return RungDecision(Decision.PROMOTE, rung.epoch, rung.score(number), cutoff, peers, False)

    def forget(self, number: int) -> None:
        """Take a trial out of every rung: nobody is compared with it, and it fills no place among the best."""
        for rung in chain(self.rungs, self._within_bounds):
            if number in rung.scores:
                rung.remove(number)
        self.paused.discard(number)
        self._none_promotable = False

    def front(self) -> list[int]:
        """The trials that no other dominates at the highest rung that has results."""
        reached = [rung for rung in self.rungs if len(rung)]
        return list(reached[-1].front()) if reached else []

    def promotable(self) -> int | None:
        """The paused trial to resume: the best within the top 1/reduction_factor of the highest rung that has one.

        At each rung a trial within the top of the latest results comes after those. Once there is none, the search
        for one is not repeated before a rung has another result: hundreds of workers may ask.
        """
        if not self.paused or self._none_promotable:
            return None
        found = self._best_promotable()
        self._none_promotable = found is None
        return found

    def best_paused(self) -> int | None:
        """The best paused trial of the highest rung that has one, of those that keep the bounds if any does.

        None once a trial was fully trained.
        """
        if len(self.rungs[-1]):
            return None
        ranked = chain(reversed(self._within_bounds), reversed(self.rungs))
        return next((n for rung in ranked for n in rung.best_first() if n in self.paused), None)

    def _best_promotable(self) -> int | None:
        for index in reversed(range(len(self.rungs) - 1)):
            rung = self.rungs[index]
            quota = len(rung) // self.reduction_factor if rung.epoch >= self.first_rung else len(rung)
            for number in chain(self._leaders_within_bounds(index, quota), islice(rung.best_first(), quota)):
                if self._is_paused_at(index, number):
                    return number
            for number in rung.latest(self._latest):
                if self._is_paused_at(index, number) and self._is_in_top_of_latest(
                    rung, number, rung.score(number)
                ):
                    return number
        return None

    def _is_paused_at(self, index: int, number: int) -> bool:
        return number in self.paused and self._reached[number] == index

    def _is_in_top_of_latest(self, rung: Rung, number: int, rank_score: float) -> bool:
        """Whether the trial is in the top 1/reduction_factor of the latest results, once they are not all results."""
        if len(rung) <= self._latest:
            return False
        return rung.is_in_top_of_latest(number, rank_score, self._latest, LATEST_SURVIVORS)

    def _record_within_bounds(
        self, index: int, number: int, score: Score, keeps_bounds: bool
    ) -> float | None:
        """Record the score of a trial that keeps the bounds at its last rung, or first does so after it.

        Returns:
            The best score within the bounds that the trial is ranked by; None where it never kept them there.
        """
        if not self._within_bounds:
            return None
        within = self._within_bounds[index]
        if not keeps_bounds:
            return within.score(number) if number in within.scores else None
        if number not in within.scores:
            within.add(number, score)
            self._none_promotable = False
        return within.rank_score(number, score)

    def _leads_within_bounds(self, index: int, number: int, rank_score: float | None) -> bool:
        """Whether the trial is in the top 1/reduction_factor of those that keep the bounds."""
        if rank_score is None:
            return False
        within = self._within_bounds[index]
        return within.is_in_top(number, rank_score, self._quota(len(within)))

    def _leaders_within_bounds(self, index: int, quota: int) -> Iterator[int]:
        """The best 1/reduction_factor of those that keep the bounds, at least one; none where nothing goes on yet."""
        if self._within_bounds and quota:
            within = self._within_bounds[index]
            yield from islice(within.best_first(), self._quota(len(within)))

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
        is_kept = rung.is_in_top(number, rank_score, self._quota(peers)) or self._is_in_top_of_latest(
            rung, number, rank_score
        )
        return Decision.KEEP if is_kept else Decision.STOP
