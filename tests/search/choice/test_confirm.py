"""Confirming: the best few are trained with new seeds, what was trained already counts, the mean picks the winner."""

from __future__ import annotations

from pathlib import Path

import pytest
from confirmed_runs import ACCURACY, Trained, board

from toprung.results.analysis.winner import confirmed_winner, pick_winner
from toprung.results.tables.parts import read_tables
from toprung.search.choice.confirm import confirm, describe
from toprung.search.choice.confirm_jobs import confirm_job, confirm_runs
from toprung.search.driver.search_failure import SearchFailedError
from toprung.search.jobs.schema import Job
from toprung.search.jobs.yaml_text import read_mapping
from toprung.search.preparation.prepare import prepare
from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.errors import InputError
from toprung.trainables.trial.report import Outcome


def test_the_best_by_its_mean_wins_over_the_best_by_chance(folder: RunFolder) -> None:
    train = Trained(lambda rate: rate)  # the more, the better; the search had it the other way round
    found = confirm(folder.job(), folder, board(folder), train)
    assert train.rates == [[0.1, 0.1, 0.2, 0.2, 0.3, 0.3]], "three different ones: two trials were of 0.1"
    assert [one.trial_id for one in found.means] == ["t00002", "t00001", "t00000"]
    assert found.means[0].score == pytest.approx(0.3 + 0.01 * (5 + 6) / 2)
    assert [one.seeds for one in found.means] == [2, 2, 2]
    _, epochs, trials = read_tables(folder.root)
    searched = pick_winner(trials, epochs, ACCURACY)
    winner = confirmed_winner(searched, trials, found.means, ACCURACY)
    assert (searched.trial_id, winner.trial_id, winner.runner_up) == ("t00000", "t00002", "t00001")
    assert (winner.config, winner.seed, winner.epoch) == ({"learning_rate": 0.3}, 2, 2)
    assert winner.why.startswith(
        "best of 3 confirmed: val_accuracy 0.3550 over 2 new seeds at epoch 2, 0.1200 ahead"
    )
    lines = describe(found, board(folder), "val_accuracy")
    assert lines[0].startswith("  t00002  val_accuracy 0.3550 (0.3") and lines[0].endswith(
        "0.7000 in the search"
    )


def test_a_lead_that_chance_may_explain_is_reported_as_such(folder: RunFolder) -> None:
    found = confirm(folder.job(), folder, board(folder), Trained(lambda rate: 0.5 + rate / 100))
    _, epochs, trials = read_tables(folder.root)
    winner = confirmed_winner(pick_winner(trials, epochs, ACCURACY), trials, found.means, ACCURACY)
    assert "; by chance it may be up to 0.0" in winner.why and winner.why.endswith(" behind")


def test_the_trainings_are_a_job_on_the_same_splits_with_other_seeds_and_no_early_stop(
    folder: RunFolder,
) -> None:
    job = folder.job()
    confirming = confirm_job(job, folder, [{"tenths": 1}], 0)
    assert confirming.data_spec() == job.data_spec() and confirming.seed != job.seed
    assert confirming.run_root.startswith(f"{folder.root}/confirm/a-confirm-")
    assert (
        confirming.search.trials,
        confirming.search.optimized.secondary,
        confirming.search.budgets.epochs,
    ) == (
        1,
        (),
        None,
    )
    assert confirming.tracking.uri == folder.tracking(job).uri, "where the search's own runs are"
    assert Job.from_dict(read_mapping(confirming.to_yaml().encode(), "job"), "job") == confirming, (
        "it is a job file"
    )
    assert prepare(confirming).strategy.rung_epochs == (2,)
    assert confirm_job(job, folder, [{"tenths": 1}], 0) == confirming
    different = [
        confirm_job(job, folder, [{"tenths": 2}], 0),
        confirm_job(job, folder, [{"tenths": 1}], 1),
        confirm_job(job.overridden(["seed=6"]), folder, [{"tenths": 1}], 0),
    ]
    assert (
        len({one.seed for one in [confirming, *different]})
        == len({one.name for one in [confirming, *different]})
        == 4
    )


def test_what_is_trained_already_is_not_trained_again(folder: RunFolder) -> None:
    job, train = folder.job(), Trained(lambda rate: rate)
    first = confirm(job, folder, board(folder), train)
    assert confirm(job, folder, board(folder), train) == first and len(train.jobs) == 1
    more = confirm(job.overridden(["retrain.seeds=3"]), folder, board(folder), train)
    assert train.rates[1:] == [[0.1, 0.2, 0.3]] and train.jobs[1].seed != train.jobs[0].seed
    assert [one.seeds for one in more.means] == [3, 3, 3]
    confirm(job.overridden(["retrain.confirm=4"]), folder, board(folder), train)
    assert train.rates[2:] == [[0.4, 0.4]]
    assert len(list(confirm_runs(folder, job))) == len(train.jobs) == 3
    for other in ("search.max_epochs=4", "data.image_size=16", "data.seed=7", "space.fixed={augment: 0}"):
        assert list(confirm_runs(folder, job.overridden([other]))) == [], f"trained with another {other}"
    assert len(list(confirm_runs(folder, job.overridden(["search.metric=val_loss"])))) == 3, (
        "measured as well"
    )


def test_an_interrupted_confirmation_is_continued_and_counts_for_another(folder: RunFolder) -> None:
    job, confirming = folder.job(), []

    def interrupted(job: Job) -> None:
        if not confirming:
            Trained(lambda rate: rate, upto=4)(job)
        confirming.append(job)
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            confirm(job, folder, board(folder), interrupted)
    assert confirming[0] == confirming[1], "the same run"
    assert [run.has_ended for run in confirm_runs(folder, job)] == [False]
    train = Trained(lambda rate: rate)
    for best in ("retrain.confirm=1", "retrain.confirm=2"):
        confirm(job.overridden([best]), folder, board(folder), train)
    assert not train.jobs, "two of 0.1 and two of 0.2 had ended"
    confirm(job.overridden(["retrain.seeds=3"]), folder, board(folder), train)
    assert train.rates == [[0.1, 0.2, 0.3, 0.3, 0.3]] and train.jobs[0].run_root != confirming[0].run_root


@pytest.mark.parametrize("outcome", [Outcome.DIVERGED, Outcome.OOM])
def test_a_configuration_that_fails_with_a_new_seed_does_not_win(folder: RunFolder, outcome: Outcome) -> None:
    found = confirm(folder.job(), folder, board(folder), Trained(lambda rate: rate, {0.3: outcome}))
    assert [one.trial_id for one in found.means] == ["t00001", "t00000"]
    assert found.left_out == {"t00002": f"{outcome} with a new seed"}
    assert (
        describe(found, board(folder), "val_accuracy")[-1] == f"  t00002  left out: {outcome} with a new seed"
    )


@pytest.mark.parametrize("outcome", [Outcome.PREEMPTED, Outcome.TIMEOUT, Outcome.FAILED, Outcome.STOPPED])
def test_what_may_have_been_an_accident_is_reported_and_tried_again(
    folder: RunFolder, outcome: Outcome
) -> None:
    job, train = folder.job(), Trained(lambda rate: rate, {0.3: outcome})
    found = confirm(job, folder, board(folder), train)
    assert found.left_out == {"t00002": "no training ended well"} and found.missing == 2
    lines = describe(found, board(folder), "val_accuracy")
    assert lines[-1] == "  2 trainings failed or lost their workers; the same command tries again"
    repaired = Trained(lambda rate: rate)
    assert len(confirm(job, folder, board(folder), repaired).means) == 3
    assert repaired.rates == [[0.3, 0.3]] and repaired.jobs[0].seed != train.jobs[0].seed


@pytest.mark.parametrize("outcome", [Outcome.DIVERGED, Outcome.PREEMPTED])
def test_where_no_configuration_trains_twice_there_is_no_winner(folder: RunFolder, outcome: Outcome) -> None:
    failing = Trained(lambda rate: rate, dict.fromkeys([0.1, 0.2, 0.3], outcome))
    with pytest.raises(
        SearchFailedError, match=r"no configuration could be confirmed \(t00000 .*tries again"
    ):
        confirm(folder.job(), folder, board(folder), failing)


def test_trainings_by_another_version_of_the_models_file_do_not_count(folder: RunFolder) -> None:
    job, train = folder.job(), Trained(lambda rate: rate)
    confirm(job, folder, board(folder), train)
    file = Path(job.space.name.rpartition(":")[0])
    file.write_text(file.read_text() + "\n# repaired\n")
    confirm(job, folder, board(folder), train)
    assert train.rates[0] == train.rates[1] and train.jobs[0].seed != train.jobs[1].seed


def test_states_of_an_ended_confirmation_are_removed(folder: RunFolder) -> None:
    def train(job: Job) -> None:
        Trained(lambda rate: rate)(job)
        state = Path(RunFolder(job.run_root).checkpoints) / "t00000.npz"
        state.parent.mkdir()
        state.touch()
        states.append(state)

    states: list[Path] = []
    confirm(folder.job(), folder, board(folder), train)
    assert not states[0].exists()


def test_the_longest_name_and_every_setting_make_a_job_that_can_be_read_again(folder: RunFolder) -> None:
    changes = [
        "search.variant=promote",
        "search.sampler=tpe",
        "storage.keep_stopped=true",
        "name=" + "n" * 100,
    ]
    job = folder.job().overridden([*changes, f"search.warm_start=[{folder.root}]"])
    confirming = confirm_job(job, folder, [{"tenths": 1}], 0)
    assert Job.from_dict(read_mapping(confirming.to_yaml().encode(), "job"), "job") == confirming
    search, storage = confirming.search, confirming.storage
    assert (search.variant, search.sampler, search.warm_start, storage.keep_stopped) == (
        "stop",
        "random",
        [],
        False,
    )


def test_a_confirmation_without_tracking_makes_no_folder_for_mlflow(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = RunFolder("memory://bucket/a")
    assert confirm_job(
        folder.job().overridden(["tracking.enabled=false"]), elsewhere, [{"tenths": 1}], 0
    ).name
    assert not (tmp_path / "runs").exists()


def test_a_space_that_lacks_a_configuration_by_now_is_reported_in_one_line(folder: RunFolder) -> None:
    narrowed = folder.job().overridden(["space.ranges={tenths: [3, 9]}"])
    refused = pytest.raises(InputError, match="space: t00000 is no configuration of it any more")
    with refused:
        confirm(narrowed, folder, board(folder), Trained(lambda rate: rate))
    other = folder.job().overridden(["space.fixed={tenths: 5}"])
    with refused:  # it would be trained with 5 instead
        confirm(other, folder, board(folder), Trained(lambda rate: rate))
