"""A study of a fixed history: what an Optuna sampler sees in it, and the one trial that it draws."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from toprung.search.strategy.sampling.frozen_study import FrozenStudyStorage, frozen_trial

X = FloatDistribution(0.0, 1.0)
HISTORY = [
    frozen_trial(0, {"x": 0.2}, {"x": X}, 0.5),
    frozen_trial(1, {"x": 0.4}, {"x": X}, 0.9),
    frozen_trial(4, {"x": 0.6}, {"x": X}, None),
]


class Recording(RandomSampler):
    """Keeps the trials that a study shows to a sampler."""

    def __init__(self) -> None:
        super().__init__(seed=0)
        self.seen: list[FrozenTrial] = []

    def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
        self.seen = study.get_trials(deepcopy=False)
        return super().infer_relative_search_space(study, trial)


def study_of(history: list[FrozenTrial], number: int, sampler: Any = None) -> optuna.Study:
    return optuna.Study("history", FrozenStudyStorage(history, number), sampler=sampler or Recording())


def test_a_trial_with_a_score_is_complete_and_one_without_is_running() -> None:
    assert [trial.state for trial in HISTORY] == [
        TrialState.COMPLETE,
        TrialState.COMPLETE,
        TrialState.RUNNING,
    ]
    assert [trial.value for trial in HISTORY[:2]] == [0.5, 0.9]


def test_a_sampler_sees_the_history_and_the_trial_it_draws() -> None:
    sampler = Recording()
    study_of(HISTORY, 7, sampler).ask().suggest_float("x", 0.0, 1.0)
    assert [trial.number for trial in sampler.seen] == [0, 1, 4, 7]
    assert sampler.seen[:3] == HISTORY


def test_higher_scores_are_better() -> None:
    study = study_of(HISTORY, 7)
    assert study.direction is StudyDirection.MAXIMIZE
    assert study.best_trial.number == 1


def test_trials_are_selected_by_their_state() -> None:
    storage = FrozenStudyStorage(HISTORY, 7)
    running = storage.get_all_trials(0, states=(TrialState.RUNNING,))
    assert [trial.number for trial in running] == [4]


def test_a_copy_of_the_history_may_be_changed() -> None:
    storage = FrozenStudyStorage(HISTORY, 7)
    storage.get_all_trials(0)[0].params["x"] = 9.0
    assert storage.get_all_trials(0)[0].params == {"x": 0.2}


def test_the_drawn_trial_holds_what_was_suggested_for_it() -> None:
    trial = study_of(HISTORY, 7).ask()
    value, choice = trial.suggest_float("x", 0.0, 1.0), trial.suggest_categorical("kind", ["a", None])
    assert trial.number == 7
    assert trial.params == {"x": value, "kind": choice}
    assert trial.distributions == {"x": X, "kind": CategoricalDistribution(["a", None])}
    assert trial.suggest_float("x", 0.0, 1.0) == value, "a repeated suggestion gives the same value"


def test_the_drawn_trial_keeps_attributes_that_samplers_write() -> None:
    storage = FrozenStudyStorage([], 3)
    with pytest.raises(KeyError):
        storage.get_trial(3)
    storage.create_new_trial(0)
    storage.set_trial_system_attr(3, "key", [1])
    storage.set_trial_user_attr(3, "name", "value")
    storage.set_study_system_attr(0, "generation", 2)
    drawn = storage.get_trial(3)
    assert (drawn.system_attrs, drawn.user_attrs) == ({"key": [1]}, {"name": "value"})
    assert storage.get_study_system_attrs(0) == {"generation": 2}


def test_only_the_drawn_trial_can_be_written() -> None:
    storage = FrozenStudyStorage(HISTORY, 7)
    storage.create_new_trial(0)
    with pytest.raises(KeyError):
        storage.set_trial_param(0, "x", 0.3, X)


def test_what_would_change_the_history_is_refused() -> None:
    study = study_of(HISTORY, 7)
    trial = study.ask()
    with pytest.raises(NotImplementedError, match="finished by the strategy"):
        study.tell(trial, 0.5)
    with pytest.raises(NotImplementedError, match="reports to the strategy"):
        trial.report(0.5, 1)
    with pytest.raises(NotImplementedError, match="no study attributes"):
        study.set_user_attr("a", 1)
