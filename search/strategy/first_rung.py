"""The lowest rung at which trials are stopped: it moves to where the rungs predict what comes later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toprung.search.strategy.early_stopping.rung_correlation import RungCorrelations

if TYPE_CHECKING:
    from toprung.search.strategy.early_stopping.asha import SuccessiveHalving
    from toprung.search.strategy.notes import Notes


class FirstRung:
    """Raises and lowers the first rung of a search, and notes why."""

    def __init__(self, halving: SuccessiveHalving, notes: Notes) -> None:
        self._halving, self._notes = halving, notes
        self._correlations = RungCorrelations(halving.rungs)

    @property
    def explained(self) -> float:
        """The share of the variance at a rung that the rung below explains, on average."""
        return self._correlations.explained()

    def update(self, epoch: int) -> None:
        """Measure again after a result at the rung of this epoch."""
        if not self._correlations.update(epoch):
            return
        first, misleading = self._correlations.first_useful()
        before = self._halving.first_rung
        if first != before:
            self._notes.add_first_rung(first, before, misleading)
            self._halving.first_rung = first
