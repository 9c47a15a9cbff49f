"""`toprung export-study`: the study opens in Optuna with states, values by epoch, times and distributions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from toprung.results.run import load
from toprung.search.cli import main


@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_the_study_holds_every_trial_as_optuna_has_it(
    made_run: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], storage: str
) -> None:
    folder, file = made_run(), tmp_path / "a study.log"
    target = f"sqlite:///{tmp_path / 'study.db'}" if storage == "sqlite" else str(file)
    assert main(["export-study", folder.root, target]) == 0
    assert "study      made with 30 trials" in capsys.readouterr().out
    opened: Any = target if storage == "sqlite" else journal(file)
    study = optuna.load_study(study_name="made", storage=opened)
    run = load(folder.root)
    outcomes = run.trials.set_index("trial_id")["outcome"]
    states = {"COMPLETED": TrialState.COMPLETE, "STOPPED": TrialState.PRUNED}
    for trial in study.trials:
        name = trial.user_attrs["trial_id"]
        assert trial.number == int(name[1:]) and trial.state == states.get(outcomes[name], TrialState.FAIL)
        assert trial.datetime_start is not None and trial.datetime_complete is not None
        assert trial.datetime_complete >= trial.datetime_start
        curve = (
            run.epochs[run.epochs["trial_id"] == name].set_index("epoch")["val_accuracy"].dropna().to_dict()
        )
        assert trial.intermediate_values == pytest.approx(curve)
    first = study.trials[0]
    assert first.distributions["learning_rate"] == optuna.distributions.FloatDistribution(
        1e-4, 1e-1, log=True
    )
    assert all(("momentum" in one.params) == (one.params["optimizer"] == "sgd") for one in study.trials)
    best = run.best
    assert best is not None and study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert (
        optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
        )
        or len(study.get_trials(states=[TrialState.COMPLETE])) < 2
    )


def test_a_run_whose_driver_has_died_is_a_study_with_a_running_trial(
    made_run: Callable[..., Any], tmp_path: Path
) -> None:
    target = f"sqlite:///{tmp_path / 'study.db'}"
    assert main(["export-study", made_run(epochs=20).root, target]) == 0
    states = [trial.state for trial in optuna.load_study(study_name="made", storage=target).trials]
    assert states.count(TrialState.RUNNING) == 1


def test_a_study_that_is_there_and_a_storage_that_is_none_are_told_in_one_line(
    made_run: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, target = made_run(trials=3).root, f"sqlite:///{tmp_path / 'study.db'}"
    assert main(["export-study", root, target]) == 0
    capsys.readouterr()
    for given, told in {
        target: "has a study 'made' already",
        "study.db": "must be a database, as in sqlite:///study.db",
        "mysql://user:secret@host/db": "STORAGE",
        f"sqlite:///{tmp_path}/no/such/folder.db": "must be a database",
    }.items():
        assert main(["export-study", root, given]) == 2, given
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("toprung: STORAGE") and told in line and "secret" not in line


def journal(file: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(file)))
