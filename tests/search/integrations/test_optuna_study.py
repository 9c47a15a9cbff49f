"""The strategy in a stock Optuna study."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest

from toprung.search.integrations.optuna_study import StrategySampler
from toprung.search.strategy.strategy import Decision, Strategy
from toprung.spaces.errors import InputError
from toprung.trainables.trial.report import EpochReport, Outcome

EPOCHS = 9
README = Path(__file__).parents[3] / "README.md"


def space(trial: Any) -> dict[str, Any]:
    config = {
        "rate": trial.suggest_float("rate", 1e-4, 1e-1, log=True),
        "kind": trial.suggest_categorical("kind", ["a", "b"]),
    }
    if config["kind"] == "b":
        config["depth"] = trial.suggest_int("depth", 1, 5)
    return config


def accuracy(config: Mapping[str, Any], epoch: int) -> float:
    height = 1.0 - abs(math.log10(config["rate"]) + 2.5) / 3 - 0.02 * config.get("depth", 4)
    return height * (1.0 - math.exp(-epoch / 3))


def objective(trial: optuna.Trial) -> float:
    config = space(trial)
    for epoch in range(1, EPOCHS + 1):
        trial.report(accuracy(config, epoch), epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return accuracy(config, EPOCHS)


def study(sampler: StrategySampler, **others: Any) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(direction="maximize", sampler=sampler, pruner=sampler.pruner(), **others)


def strategy_alone(trials: int, seed: int = 0) -> list[tuple[dict[str, Any], int]]:
    """The configurations and last epochs of the strategy by itself, a trial at a time."""
    strategy = Strategy.for_space(space, EPOCHS, seed)
    strategy.weighs_time = False
    tried = []
    for _ in range(trials):
        proposal = strategy.ask()
        assert proposal is not None
        epoch = 0
        decision = Decision.KEEP
        while decision is Decision.KEEP and epoch < EPOCHS:
            epoch += 1
            value = accuracy(proposal.config, epoch)
            decision = strategy.report(EpochReport(proposal.trial_id, epoch, {"val_accuracy": value}))
        strategy.finish(proposal.trial_id, Outcome.COMPLETED if epoch == EPOCHS else Outcome.STOPPED)
        tried.append((proposal.config, epoch))
    return tried


def tried(of: optuna.Study) -> list[tuple[dict[str, Any], int]]:
    return [(trial.params, max(trial.intermediate_values)) for trial in of.trials]


def test_a_study_tries_and_prunes_what_the_strategy_alone_does() -> None:
    made = study(StrategySampler(space, EPOCHS))
    made.optimize(objective, n_trials=40)
    assert tried(made) == strategy_alone(40)
    states = {trial.state for trial in made.trials}
    assert states == {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED}


def test_a_study_in_a_storage_continues_as_an_unbroken_one(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"
    study(StrategySampler(space, EPOCHS), storage=storage, study_name="s").optimize(objective, n_trials=25)
    again = StrategySampler(space, EPOCHS)
    made = optuna.load_study(storage=storage, study_name="s", sampler=again, pruner=again.pruner())
    made.optimize(objective, n_trials=15)
    assert tried(made) == strategy_alone(40)


def test_enqueued_parameters_are_tried_and_learned_from() -> None:
    made = study(StrategySampler(space, EPOCHS))
    made.enqueue_trial({"rate": 0.003, "kind": "a"})
    made.optimize(objective, n_trials=30)
    assert made.trials[0].params == {"rate": 0.003, "kind": "a"}
    assert made.best_value > accuracy({"rate": 0.01}, EPOCHS)


def test_smaller_is_better_where_the_study_minimizes() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = StrategySampler(space, EPOCHS)
    made = optuna.create_study(direction="minimize", sampler=sampler, pruner=sampler.pruner())
    made.optimize(lambda trial: -accuracy(space(trial), EPOCHS), n_trials=30)
    assert -made.best_value > 0.9 * max(accuracy(config, EPOCHS) for config, _ in strategy_alone(40))


def test_a_value_that_is_not_a_number_prunes_and_a_failed_trial_is_survived() -> None:
    made = study(StrategySampler(space, EPOCHS))

    def breaks(trial: optuna.Trial) -> float:
        config = space(trial)
        if trial.number == 1:
            raise RuntimeError("broken")
        trial.report(math.nan if trial.number == 0 else 0.5, 1)
        if trial.should_prune():
            raise optuna.TrialPruned
        return accuracy(config, EPOCHS)

    made.optimize(breaks, n_trials=12, catch=RuntimeError)
    assert made.trials[0].state is optuna.trial.TrialState.PRUNED
    assert made.trials[1].state is optuna.trial.TrialState.FAIL


def test_threads_share_a_study() -> None:
    made = study(StrategySampler(space, EPOCHS))
    made.optimize(objective, n_trials=24, n_jobs=4)
    assert len({tuple(sorted(trial.params.items())) for trial in made.trials}) == 24


def test_a_space_without_a_new_configuration_is_drawn_from_at_random() -> None:
    def small(trial: Any) -> dict[str, Any]:
        return {"n": trial.suggest_int("n", 1, 3)}

    made = study(StrategySampler(small, 1))
    made.optimize(lambda trial: float(small(trial)["n"]), n_trials=6)
    assert made.best_value == 3.0


def sized_objective(trial: optuna.Trial) -> float:
    """The deeper, the better and the slower; the calibration error rises with the accuracy."""
    config = space(trial)
    depth = config.get("depth", 0)
    trial.set_user_attr("latency_ms", 1.0 + depth)
    if trial.should_prune():
        raise optuna.TrialPruned
    for epoch in range(1, EPOCHS + 1):
        value = accuracy({"rate": config["rate"], "depth": -5 * depth}, epoch)
        trial.set_user_attr("val_calibration_error", 0.2 * abs(value))
        trial.report(value, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return value


BOUNDS = {"latency_ms": {"max": 3.5}, "val_calibration_error": {"max": 0.21}}


def test_the_best_trial_keeps_the_bounds_and_models_beyond_them_are_pruned_before_they_train() -> None:
    made = study(StrategySampler(space, EPOCHS, bounds=BOUNDS))
    made.optimize(sized_objective, n_trials=40)
    slow = [trial for trial in made.trials if trial.user_attrs["latency_ms"] > 3.5]
    assert slow and all(not trial.intermediate_values for trial in slow)
    assert {trial.state for trial in slow} == {optuna.trial.TrialState.PRUNED}
    assert len([trial for trial in slow if trial.number >= 20]) < 10, "proposals learn what is too slow"
    best = made.best_trial
    assert best.user_attrs["latency_ms"] <= 3.5 and best.user_attrs["val_calibration_error"] <= 0.21
    assert made.best_value == max(
        trial.value
        for trial in made.trials
        if trial.value is not None and trial.user_attrs["val_calibration_error"] <= 0.21
    )


def test_a_bounded_study_in_a_storage_continues_as_an_unbroken_one(tmp_path: Path) -> None:
    def fails_at_times(trial: optuna.Trial) -> float:
        value = sized_objective(trial)
        if trial.number % 7 == 3:
            raise RuntimeError("broken")
        return value

    unbroken = study(StrategySampler(space, EPOCHS, bounds=BOUNDS))
    unbroken.optimize(fails_at_times, n_trials=40, catch=RuntimeError)
    storage = f"sqlite:///{tmp_path}/study.db"
    first = StrategySampler(space, EPOCHS, bounds=BOUNDS)
    study(first, storage=storage, study_name="s").optimize(fails_at_times, n_trials=25, catch=RuntimeError)
    again = StrategySampler(space, EPOCHS, bounds=BOUNDS)
    made = optuna.load_study(storage=storage, study_name="s", sampler=again, pruner=again.pruner())
    made.optimize(fails_at_times, n_trials=15, catch=RuntimeError)
    assert [trial.params for trial in made.trials] == [trial.params for trial in unbroken.trials]


def test_a_bounded_metric_that_is_not_told_is_named() -> None:
    made = study(StrategySampler(space, EPOCHS, bounds={"latency_ms": {"max": 3.5}}))
    with pytest.raises(InputError, match="trial 0: latency_ms is bounded and unknown"):
        made.optimize(objective, n_trials=1)


@pytest.mark.parametrize("limits", [{"most": 5}, {"max": "5"}, {"min": 2, "max": 1}, {}, 5])
def test_bounds_that_cannot_be_are_refused(limits: Any) -> None:
    made = study(StrategySampler(space, EPOCHS, bounds={"latency_ms": limits}))
    with pytest.raises(InputError, match=r"bounds\['latency_ms'\]"):
        made.optimize(objective, n_trials=1)


def test_several_objectives_are_refused() -> None:
    sampler = StrategySampler(space, EPOCHS)
    made = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    with pytest.raises(ValueError, match="multi-objective"):
        space(made.ask())


def test_the_study_shown_in_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    (code,) = re.findall(
        r"```python\n(import math\n\nimport optuna\n.*?)```", README.read_text(), flags=re.DOTALL
    )
    names: dict[str, Any] = {}
    exec(compile(code.replace("n_trials=100", "n_trials=30"), "README.md", "exec"), names)
    assert {trial.state.name for trial in names["study"].trials} == {"COMPLETE", "PRUNED"}
    assert "rate" in capsys.readouterr().out
