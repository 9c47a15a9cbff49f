"""What a search finds out about itself, as lines for the log and the tables."""

from __future__ import annotations

from collections.abc import Sequence

from toprung.search.strategy.early_stopping.rung_correlation import RungCorrelation


class Notes:
    """Lines in the order they were found.

    Args:
        is_weighted: Whether each proposal weighs several objectives anew, so that earlier runs may help one proposal
            and mislead the next: they are noted once.
    """

    def __init__(self, is_weighted: bool) -> None:
        self.lines: list[str] = []
        self._is_weighted = is_weighted
        self._last_prior = ""

    def add_prior(self, line: str) -> None:
        """Note whether earlier runs help, where the part before the colon has changed."""
        finding = line.partition(":")[0]
        is_new = not self._last_prior or (not self._is_weighted and finding != self._last_prior)
        if is_new:
            self._last_prior = finding
            self.lines.append(line)

    def add_first_rung(self, epoch: int, before: int, misleading: Sequence[RungCorrelation]) -> None:
        """Note that the first rung has moved, and which rungs below it mislead."""
        change = "raised" if epoch > before else "lowered"
        because = "; ".join(map(str, misleading)) or "the lower rungs predict well again"
        self.lines.append(f"first rung {change} to epoch {epoch}: {because}")
