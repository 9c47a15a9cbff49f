"""Everything a job names is looked up before anything starts; earlier runs are learned from where it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from toprung.results.tables.parts import read_table
from toprung.results.tables.rows import epoch_row, proposal_row, trial_row
from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS, run_schemas
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter
from toprung.search.cli import main
from toprung.search.jobs.schema import Job
from toprung.search.jobs.search_section import SpaceSection
from toprung.search.preparation.prepare import config_kinds, incompatible_runs, new_strategy, prepared_space
from toprung.search.runs.run_folder import RunFolder
from toprung.search.strategy.initial_configs import allowed_subset, check_initial_configs
from toprung.search.strategy.sampling.samplers import locate_in_space
from toprung.spaces.errors import InputError
from toprung.spaces.families.built_in import BUILT_IN
from toprung.spaces.families.cnn import FIRST_CONFIG
from toprung.spaces.families.presets import PRESETS
from toprung.spaces.families.registry import load_space
from toprung.trainables.trial.report import EpochReport, Outcome


def job(tmp_path: Path, **search: Any) -> Job:
    content = {"name": "a", "data": "digits", "storage": {"path": str(tmp_path)}}
    return Job.from_dict({**content, "search": {"max_epochs": 9, **search}}, "job")


def run_with_results(mine: Job, trials: int = 20) -> str:
    """A finished run in which a lower weight decay was better at every epoch."""
    space = prepared_space(mine)
    root = mine.run_root
    RunFolder(root).claim(mine).release()
    proposer = new_strategy(mine, space)
    with RunWriter(root, run_schemas(config_kinds(space))) as writer:
        for number in range(trials):
            proposal = proposer.ask()
            assert proposal is not None
            value = 1.0 - proposal.config["weight_decay"]
            report = EpochReport(proposal.trial_id, 1, {"val_accuracy": value}, 1.0, 1.0)
            writer.append(PROPOSALS, proposal_row(proposal.trial_id, proposal.config, number))
            writer.append(EPOCHS, epoch_row(report, number, "STOP"))
            writer.append(
                TRIALS,
                trial_row(proposal.trial_id, proposal.config, Outcome.STOPPED, [report], TrialDetails()),
            )
    return root


def test_a_warm_start_changes_the_first_proposals(tmp_path: Path) -> None:
    earlier = run_with_results(job(tmp_path))
    cold, warm = (job(tmp_path / "new", warm_start=runs) for runs in ([], [earlier]))
    space = prepared_space(cold)
    first = [new_strategy(mine, space) for mine in (cold, warm)]
    proposals = [[strategy.ask() for _ in range(4)] for strategy in first]
    assert proposals[0] != proposals[1]


def test_a_jobs_first_points_are_proposed_first_and_fixed_values_may_be_repeated(tmp_path: Path) -> None:
    points = [{"learning_rate": 0.01, "filters": 16}, {"learning_rate": 0.002}]
    mine = job(tmp_path, initial_configs=points).model_copy(
        update={"space": SpaceSection(fixed={"filters": 16})}
    )
    strategy = new_strategy(mine, prepared_space(mine))
    proposed = [strategy.ask() for _ in points]
    for proposal, point in zip(proposed, points, strict=True):
        assert proposal is not None
        assert point.items() <= proposal.config.items()
        assert strategy.reason(proposal.trial_id).startswith("initial: given by the job")


def test_a_job_without_first_points_begins_with_the_spaces_own_as_far_as_it_allows_it(tmp_path: Path) -> None:
    mine = job(tmp_path).model_copy(
        update={"space": SpaceSection(fixed={"filters": 16}, ranges={"learning_rate": [0.01, 0.1]})}
    )
    strategy = new_strategy(mine, prepared_space(mine))
    proposal = strategy.ask()
    assert proposal is not None
    assert proposal.config["filters"] == 16
    assert 0.01 <= proposal.config["learning_rate"] <= 0.1
    rest = {name: value for name, value in FIRST_CONFIG.items() if name not in ("filters", "learning_rate")}
    assert rest.items() <= proposal.config.items()


def test_a_job_may_want_no_first_points_at_all(tmp_path: Path) -> None:
    mine = job(tmp_path, initial_configs=[])
    strategy = new_strategy(mine, prepared_space(mine))
    proposal = strategy.ask()
    assert proposal is not None
    assert strategy.reason(proposal.trial_id).startswith("random")


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_first_configurations_of_a_space_lie_within_it(name: str) -> None:
    space = load_space(name)
    fixed = {"weight_decay", "momentum"} if name in PRESETS else set()  # by the preset
    for config in space.first_configs:
        assert allowed_subset(space, config).keys() == config.keys() - fixed


def test_a_first_point_outside_the_space_is_refused_with_what_is_allowed(tmp_path: Path) -> None:
    mine = job(tmp_path, initial_configs=[{"learning_rate": 7.0}, {"lerning_rate": 0.01}])
    with pytest.raises(InputError) as caught:
        new_strategy(mine, prepared_space(mine))
    first, second = map(str, caught.value.problems)
    assert first.startswith("search.initial_configs[0].learning_rate: 7.0")
    assert second.startswith('search.initial_configs[1].lerning_rate: 0.01; did you mean "learning_rate"?')


def stepped(trial: Any) -> dict[str, Any]:
    return {
        "layers": trial.suggest_int("layers", 1, 9),
        "units": trial.suggest_int("units", 16, 64, step=16),
        "share": trial.suggest_float("share", 0.0, 1.0, step=0.1),
        "width": trial.suggest_int("width", 8, 512, log=True),
    }


def test_a_first_point_between_the_steps_is_refused_and_not_moved() -> None:
    with pytest.raises(InputError) as caught:
        check_initial_configs(stepped, [{"layers": 2.5, "units": 40, "share": 0.35, "width": 20.5}])
    assert list(map(str, caught.value.problems)) == [
        "search.initial_configs[0].layers: 2.5; must be a whole number within [1, 9]",
        "search.initial_configs[0].units: 40; must be a whole number within [16, 64] in steps of 16",
        "search.initial_configs[0].share: 0.35; must be a finite number within [0.0, 1.0] in steps of 0.1",
        "search.initial_configs[0].width: 20.5; must be a whole number within [8, 512]",
    ]


def test_a_first_point_may_write_whole_numbers_and_steps_as_floats() -> None:
    given = {"layers": 3.0, "units": 48.0, "share": 0.3, "width": 21.0}
    check_initial_configs(stepped, [given])
    assert allowed_subset(stepped, given) == given


def test_a_result_between_the_steps_is_evidence_all_the_same() -> None:
    config = {"layers": 2, "units": 40, "share": 0.35, "width": 20}
    point = locate_in_space(stepped, config)
    assert point is not None and point.params == config


def test_how_many_trials_of_an_earlier_run_fit_is_told_where_not_all_do(tmp_path: Path) -> None:
    earlier = run_with_results(job(tmp_path, initial_configs=[]), trials=5)
    rates = sorted(read_table(earlier, PROPOSALS)["config/learning_rate"])
    narrowed = job(tmp_path / "new", warm_start=[earlier]).model_copy(
        update={"space": SpaceSection(ranges={"learning_rate": [rates[1], rates[3]]})}
    )
    (note,) = incompatible_runs(narrowed, prepared_space(narrowed))
    assert note == f"3 of 5 trials of {earlier} fit this space"


def test_an_earlier_run_of_which_no_trial_fits_is_told_by_check_and_search(
    tmp_path: Path, job_file, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = run_with_results(job(tmp_path), trials=5)
    note = f"0 of 5 trials of {earlier} fit this space"
    same = job(tmp_path / "new", warm_start=[earlier])
    assert list(incompatible_runs(same, prepared_space(same))) == []
    narrow = {"ranges": {"learning_rate": [0.0999, 0.1]}}
    path = job_file(name="other", space=narrow, search={"warm_start": [earlier]})
    assert main(["check", str(path)]) == 0
    assert f"note       {note}\n" in capsys.readouterr().out
    # The folder is another job's, so that the search ends before it starts Ray.
    RunFolder(Job.from_file(path).run_root).claim(Job.from_file(path, ["seed=1"])).release()
    assert main(["search", str(path)]) == 2
    assert f"note: {note}\n" in capsys.readouterr().out


def test_a_warm_start_from_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    mine = job(tmp_path, warm_start=[str(tmp_path / "nowhere")])
    with pytest.raises(InputError, match="must be a run folder"):
        new_strategy(mine, prepared_space(mine))
