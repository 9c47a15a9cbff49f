"""Fixed values above any Optuna sampler: kept where they are allowed, drawn elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import optuna
import pytest
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from toprung.search.strategy.sampling.fixed_values import FixedValuesSampler
from toprung.search.strategy.sampling.samplers import sample

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def grouped_tpe() -> TPESampler:
    return TPESampler(seed=0, multivariate=True, group=True)


def draw(space: Any, fixed: Mapping[str, Any], sampler: BaseSampler | None = None) -> dict[str, Any]:
    chosen = FixedValuesSampler(fixed, sampler or RandomSampler(seed=0))
    return dict(space(optuna.create_study(sampler=chosen).ask()))


def pools(trial: Any) -> dict[str, Any]:
    """Each family has its own choices and its own range."""
    family = trial.suggest_categorical("family", ["wide", "deep"])
    is_wide = family == "wide"
    return {
        "family": family,
        "pool": trial.suggest_categorical("pool", ["max", "avg"] if is_wide else ["cls", "mean"]),
        "layers": trial.suggest_int("layers", 1, 3 if is_wide else 9),
    }


@pytest.mark.parametrize("sampler", [RandomSampler, grouped_tpe])
def test_a_fixed_value_is_kept_and_the_others_are_drawn(sampler: Callable[[], BaseSampler]) -> None:
    drawn = draw(pools, {"family": "deep", "layers": 8}, sampler())
    assert (drawn["family"], drawn["layers"]) == ("deep", 8)
    assert drawn["pool"] in ("cls", "mean")


def test_a_choice_that_does_not_exist_under_its_condition_is_drawn() -> None:
    drawn = draw(pools, {"family": "wide", "pool": "cls"})
    assert drawn["family"] == "wide" and drawn["pool"] in ("max", "avg")


def test_a_number_out_of_the_range_under_its_condition_is_drawn() -> None:
    drawn = draw(pools, {"family": "wide", "layers": 8})
    assert drawn["family"] == "wide" and 1 <= drawn["layers"] <= 3


def test_a_number_between_two_steps_is_drawn() -> None:
    def stepped(trial: Any) -> dict[str, Any]:
        return {"share": trial.suggest_float("share", 0.0, 1.0, step=0.25)}

    assert draw(stepped, {"share": 0.75}) == {"share": 0.75}
    assert draw(stepped, {"share": 0.3})["share"] in (0.0, 0.25, 0.5, 0.75, 1.0)


def test_fixed_values_leave_the_other_draws_as_they_are_without_them() -> None:
    def independent(trial: Any) -> dict[str, Any]:
        return {name: trial.suggest_float(name, 0.0, 1.0) for name in ("x", "y")}

    fixed_last = draw(independent, {"y": 0.5})
    assert fixed_last == {"x": draw(independent, {})["x"], "y": 0.5}


def test_fixed_parameters_keep_their_value(conditional_space: Any) -> None:
    drawn = sample(conditional_space, "random", 0, 0, fixed={"family": "deep", "layers": 4})
    assert drawn.config["layers"] == 4 and drawn.config["family"] == "deep"
