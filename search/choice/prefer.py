"""`retrain.prefer`: a cheaper configuration in the place of the best, where noise alone may set them apart."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from toprung.results.analysis.image_noise import COUNTED, image_noise
from toprung.results.analysis.preference import Candidate, cheapest, cost_in_words, costs_of
from toprung.results.analysis.winner import confirmed_winner, pick_winner
from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from toprung.results.analysis.confirmation import ConfirmedMean
    from toprung.results.analysis.preference import Choice, Preference
    from toprung.results.analysis.winner import Winner
    from toprung.search.choice.searched_run import SearchedRun


@dataclass(frozen=True)
class Preferring:
    """What a cheaper configuration is looked for by: the tables of a run, and those `epochs` that count."""

    run: SearchedRun
    epochs: pd.DataFrame

    @property
    def preference(self) -> Preference:
        """What is preferred."""
        return self.run.job.retrain.prefer

    def among_trials(self, winner: Winner, board: pd.DataFrame) -> Winner:
        """The cheapest trial within the noise of the validation images.

        Args:
            winner: The best one.
            board: The leaderboard of the trials that may win, best first.

        Raises:
            InputError: The noise of the metric does not follow from the number of images.
        """
        images = self.run.checked_dataset().counts["val"] if winner.metric in COUNTED else 0
        noise = image_noise(winner.metric, winner.score, images)
        if noise is None:
            given = f"{self.preference}, and one training of each does not tell the noise of {winner.metric}"
            rule = "trains the best K with new seeds, which tell it"
            raise InputError.single("retrain.prefer", given, f"--set retrain.confirm=K {rule}")
        values = dict(zip(board["trial_id"], board[winner.metric].astype(float), strict=True))
        choice = self._choice(values, noise.standard_error)
        objective = self.run.job.search.optimized.main
        chosen = pick_winner(self.run.trials, self.epochs, objective, choice.chosen.trial_id)
        return replace(chosen, why=self._why(choice, f"trials within {noise}", winner.why))

    def among_confirmed(self, winner: Winner, means: Sequence[ConfirmedMean]) -> Winner:
        """The cheapest confirmed configuration within one standard error of the best mean.

        Args:
            winner: The one with the best mean.
            means: Of all that were confirmed, best first.
        """
        error = means[0].standard_error
        choice = self._choice({mean.trial_id: mean.score for mean in means}, error)
        order = sorted(means, key=lambda mean: mean.trial_id != choice.chosen.trial_id)
        objective = self.run.job.search.optimized.main
        chosen = confirmed_winner(winner, self.run.trials, order, objective)
        repeats = f"{means[0].seeds} {means[0].repeats}"
        within = f"configurations within one standard error (+-{error:.4f}) of the best mean of {repeats}"
        return replace(chosen, confirmed=tuple(means), why=self._why(choice, within, winner.why))

    def _choice(self, values: dict[str, float], standard_error: float) -> Choice:
        costs = costs_of(self.preference, self.run.trials, self.run.epochs)
        candidates = [Candidate(name, value, costs.get(name, math.nan)) for name, value in values.items()]
        return cheapest(candidates, self.run.job.search.optimized.main, standard_error)

    def _why(self, choice: Choice, within: str, best: str) -> str:
        chosen, passed = choice.chosen, choice.best
        cost = cost_in_words(self.preference, chosen.cost)
        if chosen is passed:
            others = f"{self.preference} of {choice.within}" if choice.within > 1 else "no other of the"
            return f"{best}; {others} {within}: {cost}"
        metric = self.run.job.search.metric
        ahead = abs(passed.value - chosen.value)
        over = f"passed over {passed.trial_id} ({cost_in_words(self.preference, passed.cost)}), {ahead:.4f} better"
        return f"{self.preference} of {choice.within} {within}: {metric} {chosen.value:.4f}, {cost}; {over}"
