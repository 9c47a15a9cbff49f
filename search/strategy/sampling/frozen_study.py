"""A read-only Optuna study: a given history of trials, and the one trial that is being drawn.

An Optuna study depends on the order in which results reached it. A proposal must depend on the results alone, however
they arrived, so each draw uses a new sampler on a new study of this kind.
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

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def frozen_trial(
    number: int, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution], score: float | None
) -> FrozenTrial:
    """An Optuna trial: complete with its score (higher is better), or running when the score is None."""
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.RUNNING if score is None else TrialState.COMPLETE,
        value=score,
        datetime_start=_ANY_TIME,
        datetime_complete=None if score is None else _ANY_TIME,
        params=dict(params),
        distributions=dict(distributions),
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


class FrozenStudyStorage(BaseStorage):
    """Optuna storage of one study: given trials, and one more with the given number that can be drawn.

    Of Optuna's interface it has what samplers use while they draw. The rest changes studies, of which this is none: a
    call of it is a fault and raises NotImplementedError.
    """

    def __init__(self, history: Sequence[FrozenTrial], number: int) -> None:
        self._history = list(history)
        self._number = number
        self._attrs: dict[str, Any] = {}
        self._drawn: FrozenTrial | None = None

    @property
    def drawn(self) -> FrozenTrial:
        """The trial that is being drawn, with the parameters that it has so far."""
        return self._open(self._number)

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        raise NotImplementedError("a frozen study is the only study of its storage")

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:  # noqa: ARG002
        self._drawn = frozen_trial(self._number, {}, {}, None)
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
        # Optuna writes what it draws into this object as well as into the storage, so it gets a copy.
        return copy.deepcopy(self._open(trial_id))

    def get_all_trials(
        self,
        study_id: int,  # noqa: ARG002
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        trials = self._history if self._drawn is None else [*self._history, self._drawn]
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
        raise NotImplementedError("the drawn trial reports to the strategy, not to a study")

    def delete_study(self, study_id: int) -> None:
        raise NotImplementedError("a frozen study holds nothing to delete")

    def get_all_studies(self) -> list[Any]:
        raise NotImplementedError("a frozen study is the only study of its storage")

    def _open(self, trial_id: int) -> FrozenTrial:
        if self._drawn is None or trial_id != self._number:
            raise KeyError(trial_id)
        return self._drawn
