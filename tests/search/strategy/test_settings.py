"""The settings of a strategy: all checked at once, and by name."""

from __future__ import annotations

from typing import Any

import pytest

from toprung.search.strategy.early_stopping.pareto import ParetoRung
from toprung.search.strategy.settings import StrategySettings
from toprung.search.strategy.strategy import Strategy
from toprung.spaces.errors import InputError
from toprung.trainables.trial.objectives import Objective, Objectives


def test_every_wrong_setting_is_named_at_once(conditional_space: Any) -> None:
    with pytest.raises(InputError) as caught:
        Strategy.for_space(conditional_space, 0, 0, mode="up", reduction_factor=1, variant="x")
    assert {problem.where for problem in caught.value.problems} >= {
        "max_epochs",
        "mode",
        "reduction_factor",
        "variant",
    }
    with pytest.raises(InputError, match=r"search\.sampler: 'grid'"):
        Strategy.for_space(conditional_space, 5, 0, sampler="grid")


def test_an_unknown_setting_is_refused_with_the_names_of_all_settings(conditional_space: Any) -> None:
    with pytest.raises(
        TypeError, match=r"unknown setting reduction; the settings are metric, .*reduction_factor"
    ):
        Strategy.for_space(conditional_space, 9, 0, reduction=3)


def test_of_several_objectives_each_needs_a_direction() -> None:
    wrong: Any = Objective("latency_ms", "less")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="mode: 'max, less'; must be max or min"):
        StrategySettings(max_epochs=3, objectives=Objectives((Objective("val_accuracy", "max"), wrong)))


def test_rungs_follow_the_settings_and_take_tuples_for_several_objectives() -> None:
    settings = StrategySettings(max_epochs=20, min_epochs=2, reduction_factor=4, variant="promote")
    halving = settings.new_halving()
    assert [rung.epoch for rung in halving.rungs] == [2, 8, 20]
    assert halving.pauses and halving.reduction_factor == 4
    several = StrategySettings(max_epochs=9, objectives=Objectives.named(["val_accuracy", "latency_ms"]))
    assert all(isinstance(rung, ParetoRung) for rung in several.new_halving().rungs)


def test_the_metric_alone_is_optimized_where_no_objectives_are_given() -> None:
    settings = StrategySettings(max_epochs=3, metric="val_loss", mode="min")
    assert settings.optimized == Objectives((Objective("val_loss", "min"),))
