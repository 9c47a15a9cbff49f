"""Every decision at the rungs in order, with the state of the rung at that moment: the rows of the table `rungs`."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

from toprung.search.strategy.early_stopping.asha import Decision, RungDecision, SuccessiveHalving
from toprung.search.strategy.early_stopping.rung import milestone
from toprung.search.strategy.early_stopping.rung_correlation import correlate_rungs


class RungEvent(NamedTuple):
    """A decision at a rung.

    Attributes:
        number: The trial.
        epoch: Of the report that was decided on; later than the rung's where the trial was compared again.
        decided: The decision, and the scores it rests on.
        passed: How many of the rung's results have been kept so far, or promoted; the last rung keeps all.
        first_rung: The lowest epoch at which trials are stopped; rungs below it are passed over.
        next_correlation: The rank correlation of the rung with the next, over the trials that reached both; None for
            the last rung and before three trials did.
        last_correlation: The same with the last rung.
    """

    number: int
    epoch: int
    decided: RungDecision
    passed: int
    first_rung: int
    next_correlation: float | None
    last_correlation: float | None


class RungLog:
    """Collects the decisions; the correlations are measured again when the upper rung has grown by a quarter.

    Args:
        halving: Makes the decisions.
    """

    def __init__(self, halving: SuccessiveHalving) -> None:
        self.events: list[RungEvent] = []
        self._halving, rungs = halving, halving.rungs
        self._rungs = {rung.epoch: rung for rung in rungs}
        self._above = dict(zip(self._rungs, list(self._rungs)[1:], strict=False))
        self._last_epoch = rungs[-1].epoch
        self._correlations: dict[tuple[int, int], float] = {}
        self._passed: Counter[int] = Counter()
        self._passed_by: defaultdict[int, set[int]] = defaultdict(set)
        self._paused: dict[int, int] = {}

    def reported(self, number: int, epoch: int) -> None:
        """Record the promotion of a paused trial that reports again; a replay learns of it this way alone."""
        if number in self._paused:
            self.add(number, epoch, self._halving.promotion(number))

    def add(self, number: int, epoch: int, decided: RungDecision) -> None:
        """Record a decision, after the rung has taken in the result."""
        rung = decided.rung
        if decided.arrived:
            self._measure(rung)
        self._count(number, decided)
        self.events.append(
            RungEvent(
                number,
                epoch,
                decided,
                self._passed[rung],
                self._halving.first_rung,
                self._correlations.get((rung, self._above.get(rung, 0))),
                self._correlations.get((rung, self._last_epoch)),
            )
        )

    def remove(self, number: int) -> None:
        """Count a trial that failed in no rung any more, as the rungs do."""
        self._passed.subtract(self._passed_by.pop(number, ()))
        self._paused.pop(number, None)

    def _count(self, number: int, decided: RungDecision) -> None:
        match decided.decision:
            case Decision.PROMOTE:
                self._pass(number, self._paused.pop(number))
            case Decision.PAUSE:
                self._paused[number] = decided.rung
            case Decision.KEEP if decided.arrived:
                self._pass(number, decided.rung)
            case Decision.STOP if not decided.arrived:
                self._passed[decided.rung] -= 1
                self._passed_by[number].discard(decided.rung)

    def _pass(self, number: int, rung: int) -> None:
        self._passed[rung] += 1
        self._passed_by[number].add(rung)

    def _measure(self, grown: int) -> None:
        """Correlate the rung that has grown with those below it that need it."""
        above = self._rungs[grown]
        if len(above) != milestone(len(above)):
            return
        lower = [epoch for epoch in self._rungs if epoch < grown]
        for epoch in lower if grown == self._last_epoch else lower[-1:]:
            found = correlate_rungs(self._rungs[epoch], above)
            if found.trials >= 3:
                self._correlations[epoch, grown] = found.correlation
