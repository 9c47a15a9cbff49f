"""What the search has seen, turned into one proposal of the stacked rung model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from toprung.search.strategy.early_stopping.rung import Rung
from toprung.search.strategy.sampling.points import Point
from toprung.search.strategy.surrogate.acquisition import propose
from toprung.search.strategy.surrogate.encoding import Encoding
from toprung.search.strategy.surrogate.epoch_cost import EpochCost
from toprung.search.strategy.surrogate.length_scales import LengthScales
from toprung.search.strategy.surrogate.multi_fidelity import MultiFidelityModel, RungData
from toprung.search.strategy.surrogate.single_thread import one_thread

BEST, RECENT = 64, 64  # results of a rung that are modelled at most: they bound the cost of a proposal
ENOUGH_TO_CHECK = 8  # results of this run at a rung before earlier runs are held against them
LEADERS = 32  # best results of a rung that the model is asked about, to find the best of all
TIMED = 256  # trials whose time an epoch is modelled at most: the latest
WAITING = 64  # running trials, and failed ones, taken into account at most: the latest


class RungModel:
    """Keeps what is costly to work out again: rows of trials and length scales; both follow from the history."""

    def __init__(self) -> None:
        self._encoding = Encoding(())
        self._points: Mapping[int, Point] = {}
        self._rows: dict[int, np.ndarray] = {}
        self._lengths = LengthScales()
        self._encoded = 0
        self.prior_line: str | None = None

    def prepare(self, rungs: Sequence[Rung], points: Mapping[int, Point]) -> None:
        """Work out ahead what a proposal from these rungs begins with and what no further report changes."""
        self._encode(points)
        if self._encoding.columns and any(self._lengths.due(rung, self._encoding) for rung in rungs):
            with one_thread():
                self._scales(rungs)

    @one_thread()
    def propose(
        self,
        prior: Sequence[Rung],
        rungs: Sequence[Rung],
        points: Mapping[int, Point],
        running: Iterable[int],
        failed: Iterable[int],
        epoch_secs: dict[int, float],
        rng: np.random.Generator,
    ) -> dict[str, Any]:
        """Parameters of the candidate that promises the greatest improvement; none where nothing is known or open.

        `prior` are the rungs of earlier runs and `rungs` this run's, each from the lowest, none empty; one of them may
        have no rung. `points` only ever grows, in the order of the trial numbers. `epoch_secs` is what an epoch of
        a trial took; empty where time is not to be weighed.
        """
        self._encode(points)
        if not self._encoding.columns:
            return {}
        waiting, blamed = sorted(running)[-WAITING:], sorted(failed)[-WAITING:]
        # Trials the space no longer allows have no row; a rung of nothing else has nothing to say.
        rungs = [rung for rung in rungs if any(number in points for number in rung.scores)]
        own = [self._data(rung, waiting, blamed) for rung in rungs]
        earlier = self._helpful(prior, rungs, own)
        data = [*(self._data(rung, [], []) for rung in earlier), *own]
        if not data:
            return {}
        # A trial has results at several rungs; the model is asked about it once, and only about the leaders.
        known = np.unique(np.vstack([one.rows for one in data]), axis=0)
        leaders = np.unique(np.vstack([one.leaders(LEADERS) for one in data]), axis=0)
        stack = self._stack([*earlier, *rungs], data)
        return propose(self._encoding, stack, known, leaders, rng, self._cost(epoch_secs))

    def _helpful(
        self, prior: Sequence[Rung], rungs: Sequence[Rung], own: Sequence[RungData]
    ) -> Sequence[Rung]:
        """The rungs of earlier runs, none when what they predict does not agree with the results of this run."""
        told = [(rung, data) for rung, data in zip(rungs, own, strict=True) if len(rung) >= ENOUGH_TO_CHECK]
        if not prior or not told:
            return prior
        from scipy.stats import rankdata  # a third of a second, for searches with earlier runs alone

        rung, data = told[-1]
        predicted = self._stack(prior, [self._data(one, [], []) for one in prior]).mean(data.rows)
        agreement = float(np.nan_to_num(np.corrcoef(rankdata(predicted), rankdata(data.scores))[0, 1]))
        self.prior_line = (
            f"earlier runs {'help' if agreement > 0 else 'mislead and are left out'}: what they predict and this run's"
            f" results at epoch {rung.epoch} have a rank correlation of {agreement:.2f} over {len(data.scores)} trials"
        )
        return prior if agreement > 0 else []

    def _stack(self, rungs: Sequence[Rung], data: Sequence[RungData]) -> MultiFidelityModel:
        return MultiFidelityModel(self._encoding, data, self._scales(rungs))

    def _scales(self, rungs: Sequence[Rung]) -> list[np.ndarray | None]:
        return [self._lengths.of(rung, self._points, self._row, self._encoding) for rung in rungs]

    def _encode(self, points: Mapping[int, Point]) -> None:
        self._points = points
        if len(points) == self._encoded:
            return
        added = list(islice(points, self._encoded, None))
        self._encoded = len(points)
        if any(self._encoding.lacks(points[number]) for number in added):
            # A parameter nobody had before: every row gets one more column.
            self._encoding = Encoding.of(points.values())
            self._lengths = LengthScales()
            self._rows.clear()

    def _cost(self, epoch_secs: dict[int, float]) -> EpochCost | None:
        timed = [number for number in islice(reversed(epoch_secs), TIMED) if number in self._points]
        secs = np.array([epoch_secs[number] for number in timed])
        return EpochCost.fitted(self._encoding.features(self._stacked(timed)), secs)

    def _row(self, number: int) -> np.ndarray:
        if number not in self._rows:
            self._rows[number] = self._encoding.row(self._points[number])
        return self._rows[number]

    def _data(self, rung: Rung, waiting: Sequence[int], failed: Sequence[int]) -> RungData:
        best = list(islice(rung.best_first(), BEST))
        recent = islice(reversed(rung.scores), RECENT)
        kept = sorted(number for number in {*best, *recent} if number in self._points)
        # Where the space has changed, neither the best nor the latest may fit any more: then take whoever does.
        kept = kept or [number for number in rung.scores if number in self._points][:RECENT]
        worst = rung.score_at(len(rung) - 1)
        blamed = [number for number in failed if number in self._points and number not in rung.scores]
        pending = [number for number in waiting if number in self._points and number not in rung.scores]
        scores = [*(rung.scores[number] for number in kept), *([worst] * len(blamed))]
        return RungData(self._stacked([*kept, *blamed]), np.array(scores), self._stacked(pending))

    def _stacked(self, numbers: Sequence[int]) -> np.ndarray:
        return np.array([self._row(number) for number in numbers]).reshape(
            len(numbers), len(self._encoding.columns)
        )
