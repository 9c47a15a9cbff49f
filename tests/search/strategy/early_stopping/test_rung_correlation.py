"""How well one rung predicts the next, and which rung is the first worth cutting at."""

from __future__ import annotations

import numpy as np
import pytest

from toprung.search.strategy.early_stopping.rung import Rung
from toprung.search.strategy.early_stopping.rung_correlation import (
    EXPECTED,
    USEFUL,
    RungCorrelation,
    RungCorrelations,
    correlate_rungs,
)


def rungs(columns: list[list[float]], epochs: tuple[int, ...] = (1, 3, 9, 27)) -> list[Rung]:
    """Rungs of the given scores by trial; NaN where a trial has not come so far."""
    made = []
    for epoch, scores in zip(epochs, columns, strict=True):
        rung = Rung(epoch)
        for number, score in enumerate(scores):
            if score == score:
                rung.add(number, score)
        made.append(rung)
    return made


def first_useful(measured: list[Rung]) -> int:
    """The first rung to cut at, with every correlation measured."""
    correlations = RungCorrelations(measured)
    for rung in measured:
        correlations.update(rung.epoch)
    return correlations.first_useful()[0]


def test_only_trials_that_reached_both_rungs_are_correlated() -> None:
    only_high = only_low = np.nan  # the last trial's first report came late
    low, high = rungs([[1.0, 2.0, 3.0, 4.0, only_high], [1.0, 3.0, 2.0, only_low, 9.0]], (1, 3))
    found = correlate_rungs(low, high)
    assert found.trials == 3
    assert found.correlation == pytest.approx(0.5)


def test_survivors_of_a_cut_are_held_to_a_lower_correlation() -> None:
    scores = [float(number) for number in range(30)]
    top = [score if score >= 20 else np.nan for score in scores]
    low, high, narrow = rungs([scores, scores, top], (1, 3, 9))
    assert correlate_rungs(low, high).useful == pytest.approx(USEFUL)
    # Ranks of a third spread a third as far: u = 3, so 0.7 comes to 0.7 / sqrt(9 - 0.49 * 8) = 0.31.
    assert correlate_rungs(low, narrow).useful == pytest.approx(0.31, abs=0.01)


def test_an_untrained_first_rung_is_passed_over_and_a_good_one_is_not() -> None:
    rng = np.random.default_rng(0)
    quality = rng.random(188)  # a milestone, at which correlations are measured
    noise = rng.random(188)
    later = [quality + 0.05 * rng.random(188) for _ in range(3)]
    assert first_useful(rungs([list(noise), *map(list, later)])) == 3
    assert first_useful(rungs([list(later[0]), *map(list, later)])) == 1


def test_a_rung_with_equal_scores_alone_misleads_once_enough_trials_show_it() -> None:
    same = [0.1] * 12
    spread = [number / 12 for number in range(12)]
    assert first_useful(rungs([same, spread, spread, spread])) == 3
    assert first_useful(rungs([same[:2], spread[:2], spread[:2], spread[:2]])) == 1


def test_a_rung_that_predicts_the_next_is_passed_over_where_that_one_predicts_nothing() -> None:
    rng = np.random.default_rng(0)
    early, late = rng.random(188), rng.random(188)
    columns = [early, early + 0.05 * rng.random(188), late, late + 0.05 * rng.random(188)]
    assert first_useful(rungs([list(column) for column in columns])) == 9


def test_a_handful_of_trials_raises_the_first_rung_only_where_they_disagree_plainly() -> None:
    def is_misleading(correlation: float, trials: int) -> bool:
        return RungCorrelation(1, 3, trials, correlation, USEFUL).is_misleading

    assert not is_misleading(-1.0, 3)
    assert not is_misleading(0.0, 4)
    # Fisher's z: atanh(0.7) - 1.28 / sqrt(trials - 3) is 0.13 for 6 trials, and 0.60 for 25.
    assert [is_misleading(value, 6) for value in (0.1, 0.2)] == [True, False]
    assert [is_misleading(value, 25) for value in (0.5, 0.6)] == [True, False]


def test_the_share_that_a_rung_explains_is_of_all_trials_and_at_least_what_is_expected() -> None:
    rng = np.random.default_rng(0)
    low = rng.normal(size=3000)
    above = 0.9 * low + np.sqrt(1 - 0.9**2) * rng.normal(size=3000)
    kept = low > np.quantile(low, 2 / 3)
    survivors = rungs([list(low), list(np.where(kept, above, np.nan))], (1, 3))
    # Over the survivors alone 0.46; of ranks, which the correction treats as if they were normal.
    assert correlate_rungs(*survivors).explained == pytest.approx(0.81, abs=0.1)

    def explained(later: np.ndarray) -> float:
        measured = rungs([list(low[:188]), list(later[:188])], (1, 3))
        correlations = RungCorrelations(measured)
        for rung in measured:
            correlations.update(rung.epoch)
        return correlations.explained()

    assert explained(low) > 0.98
    assert explained(low + rng.normal(size=3000)) == EXPECTED


def test_rungs_without_common_trials_explain_what_is_expected() -> None:
    nan = float("nan")
    measured = rungs([[1.0, 2.0, nan, nan, nan, nan], [nan, nan, 1.0, 2.0, 3.0, 4.0]], (1, 3))
    correlations = RungCorrelations(measured)
    for rung in measured:
        correlations.update(rung.epoch)
    assert correlations.explained() == EXPECTED
