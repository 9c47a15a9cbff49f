"""What the strategy promises to the search that drives it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toprung.search.strategy.strategy import Decision, Proposal, Strategy, TrialRecord
from toprung.search.strategy.surrogate import length_scales
from toprung.trainables.trial.report import EpochReport, Outcome

EPOCHS = 20


def report(trial_id: str, epoch: int, value: float) -> EpochReport:
    return EpochReport(trial_id, epoch, {"val_accuracy": value})


@pytest.mark.parametrize("variant", ["stop", "promote"])
@pytest.mark.parametrize("sampler", ["stacked", "tpe", "cmaes", "random", "qmc"])
def test_a_replayed_strategy_goes_on_exactly_as_the_unbroken_one(
    sampler: str, variant: str, conditional_space: Any, bench: Any
) -> None:
    settings = {"sampler": sampler, "variant": variant}
    unbroken = bench(Strategy.for_space(conditional_space, EPOCHS, 7, **settings), EPOCHS)
    unbroken.run(60)
    replayed = Strategy.for_space(conditional_space, EPOCHS, 7, **settings)
    records = [TrialRecord(key, config, unbroken.outcomes[key]) for key, config in unbroken.configs.items()]
    assert replayed.replay(unbroken.reports, reversed(records)) == {}
    assert replayed.paused == unbroken.strategy.paused
    continued = bench(replayed, EPOCHS)
    earlier = set(unbroken.configs)
    unbroken.run(20)
    continued.run(20)
    assert {key: unbroken.configs[key] for key in continued.configs} == continued.configs
    assert set(unbroken.configs) == earlier | set(continued.configs)


@pytest.mark.parametrize("outcome", [Outcome.OOM, Outcome.FAILED])
def test_a_failed_trial_leaves_the_rungs_and_its_place_to_a_healthy_one(
    outcome: Outcome, conditional_space: Any
) -> None:
    strategy = Strategy.for_space(conditional_space, EPOCHS, 0)
    names = [strategy.ask().trial_id for _ in range(4)]
    for number, value in enumerate([0.9, 0.5, 0.4]):
        strategy.report(report(names[number], 1, value))
    strategy.finish(names[0], outcome)
    assert strategy.report(report(names[3], 1, 0.7)) is Decision.KEEP, "of three, 0.7 is the best"
    diverged = Strategy.for_space(conditional_space, EPOCHS, 0)
    for _ in range(4):
        diverged.ask()
    for number, value in enumerate([0.9, 0.5, 0.4]):
        diverged.report(report(names[number], 1, value))
    diverged.report(report(names[0], 2, math.nan))
    assert diverged.report(report(names[3], 1, 0.7)) is Decision.KEEP


@pytest.mark.parametrize("variant", ["stop", "promote"])
def test_a_search_with_failures_is_replayed_exactly(variant: str, conditional_space: Any) -> None:
    def drive(strategy: Strategy, asks: int) -> tuple[list[EpochReport], list[TrialRecord]]:
        """Trials of four workers, of which every fifth fails at its fourth epoch, after others have reported."""
        reports: list[EpochReport] = []
        records: dict[str, TrialRecord] = {}
        running: list[Any] = []
        while asks or running:
            while asks and len(running) < 4 and (proposal := strategy.ask()) is not None:
                asks -= 1
                running.append(proposal)
                records.setdefault(proposal.trial_id, TrialRecord(*proposal, None))
            if not running:
                break
            name, config = running.pop(0)
            epoch = 1 + max((one.epoch for one in reports if one.trial_id == name), default=0)
            if int(name[1:]) % 5 == 0 and epoch == 4:
                strategy.finish(name, Outcome.FAILED)
                records[name] = TrialRecord(name, config, Outcome.FAILED, {}, len(reports))
                continue
            reports.append(report(name, epoch, config["rate"] ** 0.1 * (1 - math.exp(-epoch / 5))))
            decision = strategy.report(reports[-1])
            if decision is Decision.KEEP and epoch < EPOCHS:
                running.append(Proposal(name, config))
            elif decision is not Decision.PAUSE:
                outcome = Outcome.COMPLETED if epoch == EPOCHS else Outcome.STOPPED
                strategy.finish(name, outcome)
                records[name] = TrialRecord(name, config, outcome, {}, len(reports))
        return reports, list(records.values())

    settings = {"variant": variant}
    unbroken = Strategy.for_space(conditional_space, EPOCHS, 5, **settings)
    reports, records = drive(unbroken, 60)
    replayed = Strategy.for_space(conditional_space, EPOCHS, 5, **settings)
    assert replayed.replay(reports, records) == {}
    assert replayed.paused == unbroken.paused
    assert [replayed.ask() for _ in range(12)] == [unbroken.ask() for _ in range(12)]


def test_preparing_changes_no_proposal(conditional_space: Any, bench: Any) -> None:
    plain, ahead = (bench(Strategy.for_space(conditional_space, EPOCHS, 3), EPOCHS) for _ in range(2))
    plain.run(60)
    for _ in range(60):
        ahead.run(1)
        ahead.strategy.prepare()
    assert ahead.configs == plain.configs


def test_after_preparing_a_proposal_fits_no_length_scales(
    conditional_space: Any, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[int] = []
    fit_lengths = length_scales.fit_lengths
    monkeypatch.setattr(
        length_scales,
        "fit_lengths",
        lambda points, values: fits.append(len(values)) or fit_lengths(points, values),
    )
    first = bench(Strategy.for_space(conditional_space, EPOCHS, 3), EPOCHS)
    first.run(40)
    first.strategy.prepare()
    assert fits
    records = [TrialRecord(key, config, first.outcomes[key]) for key, config in first.configs.items()]
    restarted = Strategy.for_space(conditional_space, EPOCHS, 3)
    restarted.replay(first.reports, records)
    for strategy in (first.strategy, restarted):
        fits.clear()
        assert strategy.ask() is not None
        assert fits == []


def test_a_trial_that_trained_between_two_rungs_when_the_driver_died_still_runs(
    conditional_space: Any,
) -> None:
    settings: dict[str, Any] = {"variant": "promote", "max_trials": 3}
    first = Strategy.for_space(conditional_space, EPOCHS, 0, **settings)
    configs = dict(first.ask() for _ in range(3))
    reports = [report(f"t0000{number}", 1, 0.9 - number / 10) for number in range(3)]
    for one in reports:
        first.report(one)
    promoted = first.ask()
    assert promoted is not None and promoted.trial_id == "t00000"
    reports.append(report("t00000", 2, 0.95))
    assert first.report(reports[-1]) is Decision.KEEP
    second = Strategy.for_space(conditional_space, EPOCHS, 0, **settings)
    second.replay(reports, [TrialRecord(key, config, None) for key, config in configs.items()])
    assert (second.running, second.paused) == (first.running, first.paused)
    assert second.running == {"t00000"}


@pytest.mark.parametrize("trials", [1, 2, 4, 9])
def test_promotion_trains_one_trial_to_its_end_however_few_there_are(
    trials: int, conditional_space: Any, bench: Any
) -> None:
    strategy = Strategy.for_space(conditional_space, EPOCHS, 3, variant="promote", max_trials=trials)
    run = bench(strategy, EPOCHS)
    run.run(400)
    assert strategy.exhausted
    completed = [key for key, outcome in run.outcomes.items() if outcome is Outcome.COMPLETED]
    assert len(completed) == 1


def test_replay_names_the_trials_whose_end_was_decided_but_not_recorded(conditional_space: Any) -> None:
    first = Strategy.for_space(conditional_space, EPOCHS, 0)
    configs = dict(first.ask() for _ in range(5))
    reports = [report(f"t0000{number}", 1, 0.9 - number / 10) for number in range(4)]
    reports.append(report("t00004", 1, math.nan))
    records = [TrialRecord(key, config, None) for key, config in configs.items()]
    second = Strategy.for_space(conditional_space, EPOCHS, 0)
    assert second.replay(reports, records) == {
        "t00002": Outcome.STOPPED,
        "t00003": Outcome.STOPPED,
        "t00004": Outcome.DIVERGED,
    }
    assert second.running == {"t00000", "t00001"}


def test_a_repeated_report_changes_nothing_and_gives_the_same_decision(conditional_space: Any) -> None:
    strategy = Strategy.for_space(conditional_space, EPOCHS, 0)
    for _ in range(4):
        strategy.ask()
    decisions = [strategy.report(report(f"t0000{number}", 1, 0.9 - number / 10)) for number in range(4)]
    assert decisions == [Decision.KEEP, Decision.KEEP, Decision.STOP, Decision.STOP]
    again = [strategy.report(report(f"t0000{number}", 1, 0.9 - number / 10)) for number in range(4)]
    assert again == decisions


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_non_finite_value_ends_the_trial_as_diverged(bad: float, conditional_space: Any) -> None:
    strategy = Strategy.for_space(conditional_space, EPOCHS, 0)
    trial_id = strategy.ask().trial_id
    assert strategy.report(report(trial_id, 1, bad)) is Decision.STOP
    assert strategy.report(report(trial_id, 2, 0.5)) is Decision.STOP
    assert strategy.reason(trial_id).startswith("DIVERGED at epoch 1")
    assert not strategy.running


@pytest.mark.parametrize("outcome", [Outcome.OOM, Outcome.DIVERGED, Outcome.FAILED])
def test_the_model_learns_to_leave_the_region_that_fails(
    outcome: Outcome, conditional_space: Any, bench: Any
) -> None:
    def failing(config: Any) -> Outcome | None:
        return outcome if config["family"] == "deep" else None

    tried = bench(Strategy.for_space(conditional_space, EPOCHS, 3), EPOCHS)
    tried.run(80, failing)
    late = [config["family"] for key, config in tried.configs.items() if int(key[1:]) >= 30]
    # Deep configurations are better where they run, so only the failures can turn the model away from them. Blind
    # proposals are deep half the time: 25 of 50, deviation 3.5; two deviations below is 18.
    assert late.count("deep") < 18


def test_a_report_without_the_metric_is_refused_and_does_not_spoil_the_next_one(
    conditional_space: Any,
) -> None:
    strategy = Strategy.for_space(conditional_space, 9, 0)
    proposal = strategy.ask()
    assert proposal is not None
    with pytest.raises(KeyError, match="val_accuracy"):
        strategy.report(EpochReport(proposal.trial_id, 1, {"val_loss": 1.0}))
    strategy.report(EpochReport(proposal.trial_id, 1, {"val_accuracy": 0.5}))
    assert strategy.rung_of(proposal.trial_id) == 1
    assert strategy.report(EpochReport(proposal.trial_id, 2, {"val_loss": math.nan})) is Decision.STOP


def test_configurations_that_differ_within_a_large_array_are_told_apart() -> None:
    def space(trial: Any) -> dict[str, Any]:
        mask = np.zeros(3000)
        mask[1500] = trial.suggest_int("which", 1, 5)
        return {"mask": mask}

    strategy = Strategy.for_space(space, 3, 0, sampler="random")
    assert sum(strategy.ask() is not None for _ in range(9)) == 5


@pytest.mark.parametrize(("parameters", "first_modelled"), [(2, 4), (8, 8), (20, 12)])
def test_the_wider_the_space_the_more_results_a_model_waits_for(parameters: int, first_modelled: int) -> None:
    def wide(trial: Any) -> dict[str, Any]:
        trial.suggest_float("fixed", 1.0, 1.0)
        return {f"x{number}": trial.suggest_float(f"x{number}", 0.0, 1.0) for number in range(parameters)}

    strategy = Strategy.for_space(wide, EPOCHS, 0)
    blind = 0
    while (proposal := strategy.ask()) is not None and "random: no rung" in strategy.reason(
        proposal.trial_id
    ):
        strategy.report(report(proposal.trial_id, 1, proposal.config["x0"]))
        blind += 1
    assert blind == first_modelled


def test_no_configuration_is_proposed_twice_and_a_small_space_runs_out() -> None:
    def small(trial: Any) -> dict[str, Any]:
        return {"a": trial.suggest_int("a", 1, 3), "b": trial.suggest_categorical("b", [True, False])}

    strategy = Strategy.for_space(small, 1, 0)
    configs = []
    while (proposal := strategy.ask()) is not None:
        configs.append(tuple(proposal.config.items()))
        strategy.report(report(proposal.trial_id, 1, float(proposal.config["a"])))
    assert len(configs) == len(set(configs)) == 6
    assert strategy.exhausted


def test_the_users_points_come_first_and_missing_parameters_are_drawn(conditional_space: Any) -> None:
    initial = [{"family": "deep", "rate": 0.01, "layers": 2}, {"family": "wide"}]
    strategy = Strategy.for_space(conditional_space, EPOCHS, 0, initial_configs=initial)
    assert strategy.ask().config == initial[0]
    second = strategy.ask().config
    assert second["family"] == "wide" and {"rate", "dropout"} < set(second)
    assert strategy.reason("t00000").startswith("initial: given by the job")


def test_the_number_of_trials_is_an_upper_bound(conditional_space: Any, bench: Any) -> None:
    tried = bench(Strategy.for_space(conditional_space, EPOCHS, 0, max_trials=5), EPOCHS)
    tried.run(50)
    assert len(tried.configs) == 5
    assert tried.strategy.ask() is None and tried.strategy.exhausted


def test_smaller_is_better_when_the_mode_says_so(conditional_space: Any) -> None:
    strategy = Strategy.for_space(conditional_space, EPOCHS, 0, mode="min", metric="val_loss")
    for number in range(3):
        strategy.ask()
        decision = strategy.report(EpochReport(f"t0000{number}", 1, {"val_loss": 1.0 + number}))
    assert decision is Decision.STOP
    assert strategy.reason("t00002") == "cut at rung 1: 3 > 1 (top 1/3 of 3)"


def test_parallel_proposals_differ_from_each_other(conditional_space: Any, bench: Any) -> None:
    tried = bench(Strategy.for_space(conditional_space, EPOCHS, 0), EPOCHS)
    tried.run(40)
    parallel = [tried.strategy.ask().config for _ in range(24)]
    assert len({tuple(sorted(config.items())) for config in parallel}) == 24
    rates = sorted(config["rate"] for config in parallel)
    assert rates[-1] > 2 * rates[0], "they spread out instead of crowding around the best"


def test_trials_that_a_changed_space_no_longer_allows_count_at_the_rungs_but_not_in_the_model() -> None:
    def space(trial: Any) -> dict[str, Any]:
        return {"x": trial.suggest_float("x", 0.5, 1.0)}

    strategy = Strategy.for_space(space, 9, 0)
    records = [TrialRecord(f"t0000{number}", {"x": number / 20}, Outcome.STOPPED) for number in range(9)]
    strategy.replay([report(record.trial_id, 1, record.config["x"]) for record in records], records)
    for _ in range(12):
        proposal = strategy.ask()
        assert proposal.config["x"] >= 0.5
        strategy.report(report(proposal.trial_id, 1, proposal.config["x"]))


@settings(max_examples=25, deadline=None)
@given(
    scores=st.lists(
        st.sampled_from([0.0, 0.5, 0.5 + 1e-12, 0.9, -1e30, 1e6, -0.1]), min_size=12, max_size=40
    ),
    seed=st.integers(0, 5),
)
def test_any_finite_values_lead_to_a_proposal_within_the_space(scores: list[float], seed: int) -> None:
    def space(trial: Any) -> dict[str, Any]:
        config = {
            "kind": trial.suggest_categorical("kind", ["a", "b"]),
            "x": trial.suggest_float("x", -1.0, 1.0),
        }
        if config["kind"] == "a":
            config["depth"] = trial.suggest_int("depth", 1, 3)
        return config

    strategy = Strategy.for_space(space, 9, seed)
    for epoch, score in enumerate(scores):
        proposal = strategy.ask()
        assert -1.0 <= proposal.config["x"] <= 1.0
        for reached in range(1, epoch % 9 + 1):
            strategy.report(report(proposal.trial_id, reached, score))
    assert strategy.ask() is not None
