"""What new seeds say of a configuration: a mean that its choice hardly flatters, and an interval that holds it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.results.analysis.confirmation import ConfirmedMean, across_folds, confirmed, mean_difference
from toprung.trainables.trial.objectives import Objective

ACCURACY, LOSS = Objective("val_accuracy", "max"), Objective("val_loss", "min")

NOISE = 0.01


def rising(height: float, epochs: int) -> np.ndarray:
    """A learning curve that levels out at `height`."""
    return height * (1 - np.exp(-np.arange(1, epochs + 1) * 13 / epochs))


def test_a_score_is_the_mean_of_all_seeds_at_the_epoch_where_it_is_best() -> None:
    (one,) = confirmed({"a": [[0.1, 0.9, 0.5], [0.2, 0.6, 0.7], [0.3, 0.3, 0.6]]}, ACCURACY)
    assert (one.trial_id, one.epoch, one.seeds) == ("a", 2, 3) and one.score == pytest.approx(0.6)


def test_one_high_epoch_among_low_ones_is_taken_for_noise() -> None:
    lucky = [0.1, 0.2, 0.95, 0.4, 0.5, 0.6, 0.8, 0.9, 0.9]
    (one,) = confirmed({"a": [lucky, lucky]}, ACCURACY)
    assert one.epoch == 9 and one.score == pytest.approx(0.9)


def test_the_interval_is_students_with_the_spread_of_all_configurations() -> None:
    first, second = confirmed({"a": [[0.4], [0.6]], "b": [[0.8], [0.9], [0.7]]}, ACCURACY)
    deviation = math.sqrt((2 * 0.1**2 + 2 * 0.1**2) / 3)
    student = 3.1824463  # of 3 degrees of freedom, from a table
    assert first.trial_id == "b" and first.score == pytest.approx(0.8)
    assert first.high - first.score == pytest.approx(student * deviation / math.sqrt(3), rel=1e-6)
    assert second.score - second.low == pytest.approx(student * deviation / math.sqrt(2), rel=1e-6)
    gap = mean_difference(first, second, ACCURACY)
    assert gap.difference == pytest.approx(0.3) and not gap.is_clear
    assert gap.difference - gap.low == pytest.approx(student * deviation * math.sqrt(1 / 3 + 1 / 2), rel=1e-6)


def test_a_lead_is_clear_where_its_interval_is_above_nothing_whichever_way_is_better() -> None:
    high, low = (
        ConfirmedMean("a", 0.9, 0.85, 0.95, 0.05, 1, 3),
        ConfirmedMean("b", 0.7, 0.65, 0.75, 0.05, 1, 3),
    )
    assert mean_difference(high, low, ACCURACY).is_clear and mean_difference(low, high, LOSS).is_clear
    assert not mean_difference(low, high, ACCURACY).is_clear


def test_an_interval_ends_where_there_are_no_values_any_more_and_a_lead_is_the_same() -> None:
    curves = {"a": [[0.99], [0.97]], "b": [[0.5], [0.6]]}
    free, limited = confirmed(curves, ACCURACY), confirmed(curves, ACCURACY, limits=(0.0, 1.0))
    assert free[0].high > 1.0 and limited[0].high == 1.0 and free[0].low == limited[0].low
    assert mean_difference(*free, ACCURACY) == mean_difference(*limited, ACCURACY)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng, epochs, repeats = np.random.default_rng(0), 27, 2000
    truth, covered, errors, best_of_each = rising(0.8, epochs), 0, [], []
    for _ in range(repeats):
        # Half the curve is nearly level, so that noise decides which epoch looks best.
        curves = truth + rng.normal(0, NOISE, (3, epochs))
        (one,) = confirmed({"a": curves}, ACCURACY)
        expected = truth[one.epoch - 1]
        errors.append(one.score - expected)
        best_of_each.append(curves.max(axis=1).mean() - expected)
        covered += one.low <= expected <= one.high
    # A standard error of 0.5% at 95%, and what the choice of the epoch flatters (a fifth of the noise) costs up to 1%.
    assert 0.95 - 0.03 < covered / repeats < 0.95 + 0.02
    assert abs(np.mean(errors)) < 0.2 * NOISE
    assert np.mean(best_of_each) > NOISE, "as the value of a search's winner is"


def test_what_the_user_trains_for_is_what_is_measured() -> None:
    curves = {"a": [[0.1, 0.9, 0.5], [0.2, 0.8, 0.6]]}
    assert confirmed(curves, ACCURACY, epoch=1)[0].score == pytest.approx(0.15)
    (late,) = confirmed(curves, ACCURACY, epoch=20)
    assert late.score == pytest.approx(0.55) and late.epoch == 3, "the last that was trained"


def test_seeds_are_compared_up_to_the_epoch_that_all_have_reached() -> None:
    (one,) = confirmed({"a": [[0.1, 0.2, 0.9], [0.1, 0.3]]}, ACCURACY)
    assert one.epoch == 2 and one.score == pytest.approx(0.25)


def test_a_configuration_without_a_training_is_left_out_and_one_training_has_the_others_spread() -> None:
    found = confirmed({"none": [], "one": [[0.9]], "two": [[0.4], [0.6]]}, ACCURACY)
    assert [one.trial_id for one in found] == ["one", "two"]
    assert found[0].high - found[0].score == pytest.approx((found[1].high - found[1].score) * math.sqrt(2))


def test_without_two_trainings_of_anything_there_is_no_interval() -> None:
    (one,) = confirmed({"a": [[0.5, 0.6]]}, ACCURACY)
    assert one.score == 0.6 and math.isnan(one.low) and math.isnan(one.high)


@given(
    st.lists(
        st.lists(st.lists(st.floats(0, 1), min_size=5, max_size=5), min_size=1, max_size=4),
        min_size=1,
        max_size=4,
    )
)
def test_a_loss_is_an_accuracy_turned_round(all_curves: list[list[list[float]]]) -> None:
    up = {str(number): curves for number, curves in enumerate(all_curves)}
    down = {name: [[-value for value in row] for row in curves] for name, curves in up.items()}
    largest, smallest = confirmed(up, ACCURACY), confirmed(down, LOSS)
    assert [(one.trial_id, one.epoch) for one in largest] == [(one.trial_id, one.epoch) for one in smallest]
    scores = [one.score for one in largest]
    assert scores == [-one.score for one in smallest] == sorted(scores, reverse=True)


def test_a_lead_that_every_fold_shows_is_clear_though_the_folds_differ_and_its_interval_holds_the_truth() -> (
    None
):
    rng, repeats, lead, covered, clear, unpaired = np.random.default_rng(1), 1000, 0.02, 0, 0, 0
    for _ in range(repeats):
        hardness = rng.normal(0, 0.1, 5)
        values = {
            name: 0.7 + shift + hardness + rng.normal(0, 0.01, 5) for name, shift in (("a", lead), ("b", 0.0))
        }
        means = confirmed({name: [[value] for value in row] for name, row in values.items()}, ACCURACY)
        paired = across_folds(means, {name: row.tolist() for name, row in values.items()})
        by_name = {mean.trial_id: mean for mean in paired}
        found = mean_difference(by_name["a"], by_name["b"], ACCURACY)
        covered += found.low <= lead <= found.high
        clear += found.is_clear
        assert [mean.half_width for mean in paired] == [mean.half_width for mean in means]
        unpaired += mean_difference(means[0], means[1], ACCURACY).is_clear
    assert 0.93 < covered / repeats < 0.97, "95%, give or take three standard errors of 0.7%"
    assert clear / repeats > 0.5 and unpaired / repeats < 0.05, (
        "the hardness of the folds hides it from the others"
    )


def test_where_a_fold_is_missing_no_difference_is_paired() -> None:
    means = confirmed({"a": [[0.5], [0.6]], "b": [[0.4]]}, ACCURACY)
    found = across_folds(means, {"a": [0.5, 0.6], "b": [0.4]})
    assert [(mean.repeats, mean.lead_half_width) for mean in found] == [("folds", None)] * 2
