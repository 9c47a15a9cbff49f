"""Parameters whose choices, or whose type, depend on another parameter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from toprung.search.jobs.schema import Job
from toprung.search.preparation.prepare import new_strategy, prepared_space
from toprung.search.strategy.sampling.samplers import sample
from toprung.search.strategy.strategy import Strategy, TrialRecord
from toprung.search.strategy.surrogate.encoding import Encoding
from toprung.spaces.errors import InputError

EPOCHS = 9


def pools(trial: Any) -> dict[str, Any]:
    """Each family has its own choices."""
    family = trial.suggest_categorical("family", ["wide", "deep"])
    pool = trial.suggest_categorical("pool", ["max", "avg"] if family == "wide" else ["cls", "mean"])
    return {"family": family, "pool": pool, "rate": trial.suggest_float("rate", 1e-4, 1e-1, log=True)}


def penalties(trial: Any) -> dict[str, Any]:
    """A number in one family, a choice in the other."""
    if trial.suggest_categorical("family", ["wide", "deep"]) == "wide":
        return {
            "family": "wide",
            "rate": 0.01,
            "penalty": trial.suggest_float("penalty", 1e-5, 1e-2, log=True),
        }
    return {"family": "deep", "rate": 0.01, "penalty": trial.suggest_categorical("penalty", ["none", 0.0])}


def numbered(trial: Any) -> dict[str, Any]:
    """The choices depend on a number, which no category gives away."""
    blocks = trial.suggest_int("blocks", 1, 8)
    kind = trial.suggest_categorical("kind", ["a", "b"] if blocks < 4 else ["b", "c"])
    return {
        "family": "deep",
        "blocks": blocks,
        "kind": kind,
        "rate": trial.suggest_float("rate", 1e-4, 1e-1, log=True),
    }


@pytest.mark.parametrize("space", [pools, penalties, numbered])
def test_the_model_proposes_in_it_and_goes_on_after_a_replay(space: Any, bench: Any) -> None:
    unbroken = bench(Strategy.for_space(space, EPOCHS, 0), EPOCHS)
    unbroken.run(30)
    replayed = Strategy.for_space(space, EPOCHS, 0)
    records = [TrialRecord(key, config, unbroken.outcomes[key]) for key, config in unbroken.configs.items()]
    replayed.replay(unbroken.reports, records)
    proposals = [replayed.ask() for _ in range(3)]
    assert proposals == [unbroken.strategy.ask() for _ in range(3)]
    assert any(replayed.reason(proposal.trial_id).startswith("stacked") for proposal in proposals if proposal)


@pytest.mark.parametrize("space", [pools, penalties, numbered])
def test_each_set_of_choices_has_a_column_of_its_own(space: Any) -> None:
    points = [sample(space, "random", 0, number) for number in range(30)]
    encoding = Encoding.of(points)
    rows = np.array([encoding.row(point) for point in points])
    assert np.isfinite(encoding.features(rows)).all()
    for point, row in zip(points, rows, strict=True):
        assert encoding.params(row) == pytest.approx(dict(point.params))


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_a_sampler_that_cannot_model_it_is_refused_before_the_search(sampler: str) -> None:
    content = {"name": "a", "data": "digits", "space": f"{__file__}:pools", "search": {"sampler": sampler}}
    mine = Job.from_dict(content, "job")
    with pytest.raises(InputError) as caught:
        new_strategy(mine, prepared_space(mine))
    told = f"search.sampler: '{sampler}', and pool has other choices, or another type, from trial to trial; "
    assert str(caught.value) == f"{told}must be one of stacked, random, qmc in this space"


def test_a_fixed_value_that_its_condition_excludes_is_drawn_again() -> None:
    drawn = sample(pools, "random", 0, 0, fixed={"family": "deep", "pool": "max", "rate": 0.01})
    assert drawn.config["family"] == "deep" and drawn.config["rate"] == 0.01
    assert drawn.config["pool"] in ("cls", "mean")
