"""A finished history shown to an Optuna sampler: read-only trials, and the one trial being drawn.

Optuna's studies remember what was told to them in the order it was told. A proposal here must depend on the history
alone, however it came about, so each draw gets a fresh sampler and this view instead of a study that lives on.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def past_trial(
    number: int, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution], score: float | None
) -> FrozenTrial:
    """A trial of the history: complete with its score (higher is better), or still running when the score is None."""
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.RUNNING if score is None else TrialState.COMPLETE,
        value=score,
        datetime_start=_EPOCH,
        datetime_complete=None if score is None else _EPOCH,
        params=dict(params),
        distributions=dict(distributions),
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


class FrozenStudyStorage(BaseStorage):
    """An in-memory study of given trials in which exactly one more trial, numbered `number`, can be drawn."""

    def __init__(self, past: Sequence[FrozenTrial], number: int) -> None:
        self._past = list(past)
        self._number = number
        self._attrs: dict[str, Any] = {}
        self._drawn: FrozenTrial | None = None

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        raise NotImplementedError("a view of a history is one study")

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:  # noqa: ARG002
        self._drawn = past_trial(self._number, {}, {}, None)
        return self._number

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        trial = self._open(trial_id)
        trial.params = {**trial.params, param_name: distribution.to_external_repr(param_value_internal)}
        trial.distributions = {**trial.distributions, param_name: distribution}

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._open(trial_id).system_attrs[key] = value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._open(trial_id).user_attrs[key] = value

    def get_trial(self, trial_id: int) -> FrozenTrial:
        # Optuna writes what it draws into the object it got as well as into the storage: hand out a copy.
        return copy.deepcopy(self._open(trial_id))

    def get_all_trials(
        self,
        study_id: int,  # noqa: ARG002
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        trials = self._past if self._drawn is None else [*self._past, self._drawn]
        chosen = [trial for trial in trials if states is None or trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:  # noqa: ARG002
        return [StudyDirection.MAXIMIZE]

    def get_study_name_from_id(self, study_id: int) -> str:  # noqa: ARG002
        return "history"

    def get_study_id_from_name(self, study_name: str) -> int:  # noqa: ARG002
        return 0

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:  # noqa: ARG002
        return {}

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:  # noqa: ARG002
        return self._attrs

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:  # noqa: ARG002
        self._attrs[key] = value

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        raise NotImplementedError("a drawn trial needs no study attributes of its own")

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        raise NotImplementedError("the drawn trial is finished by the strategy, not by a study")

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        raise NotImplementedError("the drawn trial is reported on to the strategy, not to a study")

    def delete_study(self, study_id: int) -> None:
        raise NotImplementedError("a view of a history holds nothing to delete")

    def get_all_studies(self) -> list[Any]:
        raise NotImplementedError("a view of a history is one study")

    def _open(self, trial_id: int) -> FrozenTrial:
        if self._drawn is None or trial_id != self._number:
            raise KeyError(trial_id)
        return self._drawn
