"""The configurations to propose first: checked against the space, value by value."""

from __future__ import annotations

from typing import Any

import pytest

from toprung.search.strategy.initial_configs import allowed_subset, check_initial_configs, completed
from toprung.search.strategy.strategy import Strategy
from toprung.spaces.errors import InputError

EPOCHS = 20


def pools(trial: Any) -> dict[str, Any]:
    """Each family has its own choices."""
    family = trial.suggest_categorical("family", ["wide", "deep"])
    pool = trial.suggest_categorical("pool", ["max", "avg"] if family == "wide" else ["cls", "mean"])
    return {"family": family, "pool": pool}


def test_values_that_the_space_does_not_allow_are_named_with_their_place(conditional_space: Any) -> None:
    wrong = [{"family": "deep", "layers": 9}, {"family": "deep", "dropout": 0.5, "rate": 0.01}]
    with pytest.raises(InputError) as caught:
        Strategy.for_space(conditional_space, EPOCHS, 0, initial_configs=wrong)
    assert [problem.where for problem in caught.value.problems] == [
        "search.initial_configs[0].layers",
        "search.initial_configs[1].dropout",
    ]


def test_an_initial_configuration_is_judged_by_the_choices_that_its_other_values_leave() -> None:
    check_initial_configs(
        pools, [{"pool": pool, "family": family} for family, pool in [("wide", "avg"), ("deep", "cls")]]
    )
    with pytest.raises(InputError) as caught:
        check_initial_configs(pools, [{"pool": "max", "family": "deep"}])
    assert str(caught.value) == "search.initial_configs[0].pool: 'max'; must be one of ['cls', 'mean']"
    assert allowed_subset(pools, {"pool": "max", "family": "deep"}) == {"family": "deep"}


def test_a_value_between_two_steps_is_refused_with_the_steps() -> None:
    def stepped(trial: Any) -> dict[str, Any]:
        return {"share": trial.suggest_float("share", 0.0, 1.0, step=0.25)}

    check_initial_configs(stepped, [{"share": 0.5}])
    with pytest.raises(InputError, match=r"share: 0\.3; must be .* in steps of 0\.25"):
        check_initial_configs(stepped, [{"share": 0.3}])


def test_a_value_that_the_space_computes_may_be_repeated_but_not_changed() -> None:
    def computed(trial: Any) -> dict[str, Any]:
        return {"depth": trial.suggest_int("depth", 1, 3), "kind": "cnn"}

    check_initial_configs(computed, [{"depth": 2, "kind": "cnn"}])
    with pytest.raises(InputError, match="kind: 'mlp'; allowed are depth"):
        check_initial_configs(computed, [{"depth": 2, "kind": "mlp"}])


def test_a_value_that_only_another_choice_allows_decides_what_is_drawn() -> None:
    def space(trial: Any) -> dict[str, Any]:
        optimizer = trial.suggest_categorical("optimizer", ["a", "b", "c", "sgd"])
        low, high = (0.1, 1.0) if optimizer == "sgd" else (0.001, 0.01)
        return {"optimizer": optimizer, "rate": trial.suggest_float("rate", low, high)}

    for seed in range(10):
        assert completed(space, seed, 0, {"rate": 0.5}).config == {"optimizer": "sgd", "rate": 0.5}
    check_initial_configs(space, [{"rate": 0.5}, {"rate": 0.005}])
    with pytest.raises(InputError, match=r"rate: 0.5; must be a finite number within \[0.001, 0.01\]"):
        check_initial_configs(space, [{"optimizer": "a", "rate": 0.5}])
