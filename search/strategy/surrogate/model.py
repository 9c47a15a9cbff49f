"""The model-based sampler: from the evidence to the parameters of one proposal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from itertools import islice

import numpy as np
from threadpoolctl import ThreadpoolController

from toprung.search.strategy.early_stopping.rung import Rung
from toprung.search.strategy.sampling.points import Point
from toprung.search.strategy.surrogate.acquisition import Candidate, TriedRows, propose
from toprung.search.strategy.surrogate.encoding import Encoding
from toprung.search.strategy.surrogate.epoch_cost import EpochCost
from toprung.search.strategy.surrogate.evidence import Evidence
from toprung.search.strategy.surrogate.feasibility import AllOf, BoundModels, Chances, KeepsBound
from toprung.search.strategy.surrogate.length_scales import LengthScales
from toprung.search.strategy.surrogate.multi_fidelity import MultiFidelityModel, RungData
from toprung.search.strategy.surrogate.survival import Survival

BEST, RECENT = 64, 64  # results of a rung that are modelled at most: they bound the cost of a proposal
ENOUGH_TO_CHECK = 8  # results of this run at a rung that show whether earlier runs predict them
LEADERS = 32  # best results of a rung that the model predicts, to find the best of all
TIMED = 256  # trials whose seconds an epoch are modelled at most: the latest
UNFINISHED = 64  # running trials, and failed ones, that are modelled at most: the latest


class RungModel:
    """Proposes parameters from the results at the rungs.

    It keeps what is costly to compute again, the rows of trials and the length scales; both follow from the evidence.

    Attributes:
        prior_note: One line on whether earlier runs help; None while nothing is known.
    """

    def __init__(self) -> None:
        self.prior_note: str | None = None
        self._encoding = Encoding(())
        self._points: Mapping[int, Point] = {}
        self._rows: dict[int, np.ndarray] = {}
        self._lengths = LengthScales()
        self._bounds = BoundModels()
        self._encoded = 0

    def prepare(self, evidence: Evidence) -> None:
        """Compute ahead what a proposal from this evidence begins with and no further report changes."""
        self._encode(evidence.points)
        if not self._encoding.columns:
            return
        if any(self._lengths.is_due(rung, self._encoding) for rung in evidence.levels):
            with _single_thread():
                self._scales(evidence.levels)
        if self._bounds.is_due(evidence.bounded, self._encoding):
            with _single_thread():
                self._fitted_bounds(evidence)

    def propose(
        self, evidence: Evidence, rng: np.random.Generator, given: Sequence[int] = ()
    ) -> Candidate | None:
        """The parameters of the candidate with the greatest expected improvement.

        Args:
            evidence: No rung may be empty; `points` has those of the last call first.
            rng: Draws the candidates.
            given: The trials whose configurations were given to the search.

        Returns:
            The candidate; None where no result has a point, or no parameter leaves a choice.
        """
        self._encode(evidence.points)
        if not self._encoding.columns:
            return None
        with _single_thread():
            return self._propose(evidence, rng, given)

    def _propose(
        self, evidence: Evidence, rng: np.random.Generator, given: Sequence[int]
    ) -> Candidate | None:
        running, failed = sorted(evidence.running)[-UNFINISHED:], sorted(evidence.failed)[-UNFINISHED:]
        # Trials that the space no longer allows have no row; a rung of such trials alone has nothing to model.
        rungs = [rung for rung in evidence.rungs if any(number in self._points for number in rung.scores)]
        own = self._levels(rungs, running, failed)
        prior = self._helpful(evidence.prior, rungs, own)
        data = [*self._levels(prior), *own]
        if not data:
            return None
        # A trial has results at several rungs; the model predicts each trial once, and only the leaders.
        known = np.unique(np.vstack([one.rows for one in data]), axis=0)
        leaders = np.unique(np.vstack([one.leaders(LEADERS) for one in data]), axis=0)
        tried = TriedRows(
            known, leaders, self._rows_of([number for number in given if number in self._points])
        )
        model = self._model([*prior, *rungs], data)
        cost, survival = self._cost(evidence.epoch_secs), self._survival(evidence, failed, model.lengths)
        bounds = self._fitted_bounds(evidence)
        likely: list[Chances] = [*bounds, *([survival] if survival else [])]
        return propose(self._encoding, model, tried, rng, cost, AllOf(likely) if likely else None)

    def chances(self, evidence: Evidence, points: Sequence[Point]) -> np.ndarray:
        """The chance of each point to keep the bounds, shape (points,), where `propose` is not asked.

        A point with a parameter that no trial has had is taken to keep them.
        """
        self._encode(evidence.points)
        if not self._encoding.columns:
            return np.ones(len(points))
        is_known = np.array([not self._encoding.lacks(point) for point in points])
        rows = np.array([self._encoding.row(point) for point in points])
        with _single_thread():
            bounds = self._fitted_bounds(evidence)
            return np.where(is_known, AllOf(bounds).chances(self._encoding.features(rows)), 1.0)

    def _fitted_bounds(self, evidence: Evidence) -> list[KeepsBound]:
        return self._bounds.fitted(evidence.bounded, self._points, self._row, self._encoding)

    def _helpful(
        self, prior: Sequence[Rung], rungs: Sequence[Rung], own: Sequence[RungData]
    ) -> Sequence[Rung]:
        """The rungs of earlier runs; none where their predictions do not agree with the results of this run."""
        comparable = [
            (rung, data) for rung, data in zip(rungs, own, strict=True) if len(rung) >= ENOUGH_TO_CHECK
        ]
        if not prior or not comparable:
            return prior
        rung, data = comparable[-1]
        predicted = self._model(prior, self._levels(prior)).mean(data.rows)
        agreement = _rank_correlation(predicted, data.scores)
        self.prior_note = (
            f"earlier runs {'help' if agreement > 0 else 'mislead and are left out'}: their predictions and this run's"
            f" results at epoch {rung.epoch} have a rank correlation of {agreement:.2f} over {len(data.scores)} trials"
        )
        return prior if agreement > 0 else []

    def _model(self, rungs: Sequence[Rung], data: Sequence[RungData]) -> MultiFidelityModel:
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
            # A parameter that no trial had before: every row gets one more column.
            self._encoding = Encoding.of(points.values())
            self._lengths = LengthScales()
            self._bounds.forget_lengths()
            self._rows.clear()

    def _cost(self, epoch_secs: dict[int, float]) -> EpochCost | None:
        timed = [number for number in islice(reversed(epoch_secs), TIMED) if number in self._points]
        secs = np.array([epoch_secs[number] for number in timed])
        return EpochCost.fitted(self._features_of(timed), secs)

    def _survival(self, evidence: Evidence, failed: Sequence[int], lengths: np.ndarray) -> Survival | None:
        alive = islice(reversed(evidence.outlived), UNFINISHED)
        ended, lived = (self._features_of(numbers) for numbers in (failed, alive))
        return Survival.fitted(ended, lived, lengths)

    def _levels(
        self, rungs: Sequence[Rung], running: Sequence[int] = (), failed: Sequence[int] = ()
    ) -> list[RungData]:
        """The results of the rungs of one run, lowest first."""
        lower: list[Mapping[int, float]] = [{}, *(rung.scores for rung in rungs)]
        return [self._data(rung, below, running, failed) for rung, below in zip(rungs, lower, strict=False)]

    def _data(
        self, rung: Rung, below: Mapping[int, float], running: Sequence[int], failed: Sequence[int]
    ) -> RungData:
        """The best and the latest results of a rung, with the scores of the rung below."""
        best = list(islice(rung.best_first(), BEST))
        recent = islice(reversed(rung.scores), RECENT)
        kept = sorted(number for number in {*best, *recent} if number in self._points)
        # Where the space has changed, neither the best nor the latest may fit it: then any others that do.
        kept = kept or [number for number in rung.scores if number in self._points][:RECENT]
        failed = [number for number in failed if number in self._points and number not in rung.scores]
        pending = [number for number in running if number in self._points and number not in rung.scores]
        return RungData(
            self._rows_of(kept),
            np.array([rung.scores[number] for number in kept]),
            self._rows_of(pending),
            np.array([below.get(number, np.nan) for number in kept]),
            self._rows_of(failed),
        )

    def _row(self, number: int) -> np.ndarray:
        if number not in self._rows:
            self._rows[number] = self._encoding.row(self._points[number])
        return self._rows[number]

    def _features_of(self, numbers: Iterable[int]) -> np.ndarray:
        """Of those that have a point; shape (their count, features)."""
        known = [number for number in numbers if number in self._points]
        return self._encoding.features(self._rows_of(known))

    def _rows_of(self, numbers: Sequence[int]) -> np.ndarray:
        """Shape (numbers, columns)."""
        rows = np.array([self._row(number) for number in numbers])
        return rows.reshape(len(numbers), len(self._encoding.columns))


def _rank_correlation(left: np.ndarray, right: np.ndarray) -> float:
    """Spearman's rank correlation; 0 where all values of one side are equal."""
    from scipy.stats import spearmanr  # slow to import, and needed for searches with earlier runs alone

    if np.ptp(left) == 0.0 or np.ptp(right) == 0.0:
        return 0.0
    return float(spearmanr(left, right).statistic)


def _single_thread() -> AbstractContextManager[None]:
    """Run the block's linear algebra on one thread.

    The driver shares its cores with workers and its matrices are small: several threads that wait for each other took
    ten times as long, and sums in another order would make a proposal depend on the number of cores.
    """
    limited: AbstractContextManager[None] = _blas_libraries().limit(limits=1, user_api="blas")
    return limited


@cache
def _blas_libraries() -> ThreadpoolController:
    """The loaded libraries, looked up once: `threadpool_limits` takes a millisecond to look them up each time."""
    return ThreadpoolController()
