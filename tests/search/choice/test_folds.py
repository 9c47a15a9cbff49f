"""Cross-validating the finalists: each trained once for each fold, what was trained already counts."""

from __future__ import annotations

import pytest
from confirmed_runs import Trained, board

from toprung.search.choice.confirm import confirm
from toprung.search.jobs.schema import Job
from toprung.search.runs.run_folder import RunFolder


def test_folds_train_each_finalist_once_for_each_and_what_was_trained_is_not_repeated(
    folder: RunFolder,
) -> None:
    train = Trained(lambda rate: rate)
    job = folder.job().overridden(["data.folds=4", "retrain.confirm=2"])
    found = confirm(job, folder, board(folder), train)
    assert [each.data.fold for each in train.jobs] == [0, 1, 2, 3]
    assert {each.data.folds for each in train.jobs} == {4} and train.rates == [[0.1, 0.2]] * 4
    assert len({each.seed for each in train.jobs}) == len({each.run_root for each in train.jobs}) == 4
    assert {each.data_spec().seed for each in train.jobs} == {job.split_seed}
    assert [(one.trial_id, one.seeds, one.repeats) for one in found.means] == [
        ("t00001", 4, "folds"),
        ("t00000", 4, "folds"),
    ]
    again = Trained(lambda rate: rate)
    wider = job.overridden(["retrain.confirm=3"])
    assert confirm(wider, folder, board(folder), again).means[0].trial_id == "t00002"
    assert again.rates == [[0.3]] * 4, "only the third is trained, by every fold"
    by_seeds = Trained(lambda rate: rate)
    confirm(folder.job(), folder, board(folder), by_seeds)
    assert [each.data.fold for each in by_seeds.jobs] == [None], (
        "other validation images are another question"
    )


def test_a_cross_validation_that_was_interrupted_goes_on_in_the_fold_where_it_was(folder: RunFolder) -> None:
    job = folder.job().overridden(["data.folds=3", "retrain.confirm=2"])
    died = Trained(lambda rate: rate, upto=1)

    class DiedError(Exception):
        pass

    def train(fold_job: Job) -> None:
        if fold_job.data.fold == 1:
            died(fold_job)
            raise DiedError
        Trained(lambda rate: rate)(fold_job)

    with pytest.raises(DiedError):
        confirm(job, folder, board(folder), train)
    continued: list[Job] = []
    found = confirm(job, folder, board(folder).head(1), continued.append)
    assert [each.data.fold for each in continued] == [2], "fold 1 has trained the first one"
    assert found.missing == 1 and found.means[0].seeds == 2
    continued.clear()
    confirm(job, folder, board(folder), continued.append)
    assert [each.data.fold for each in continued] == [1, 2]
    assert continued[0].run_root == died.jobs[0].run_root, "the same run goes on"
