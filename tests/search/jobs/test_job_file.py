"""A job file becomes a job, or every problem with it is reported at once: where, what was given, what is allowed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from toprung.search.jobs.schema import Job
from toprung.search.preparation.prepare import prepared_space
from toprung.spaces.errors import InputError
from toprung.trainables.trial.execution import ExecutionRequest

JOBS = sorted((Path(__file__).parents[3] / "search" / "jobs").glob("*.yaml"))


def problems_of(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        Job.from_file(path, overrides)
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "my-job.yaml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_every_shipped_job_is_valid_and_survives_being_saved(path: Path) -> None:
    job = Job.from_file(path)
    assert job.name == path.stem
    saved = path.parent / "saved.yaml"
    import yaml

    assert Job.from_dict(yaml.safe_load(job.to_yaml()), str(saved)) == job


def test_the_shortest_job_is_data_alone(written) -> None:
    job = Job.from_file(written("data: digits"))
    assert (job.name, job.data.source, job.space.name) == ("my-job", "digits", "cnn")
    assert job == Job.from_file(written("data: {source: digits}"))
    short = Job.from_file(written("data: digits\nspace: transfer"), ["space.fixed.flip=true"])
    assert (short.space.name, short.space.fixed) == ("transfer", {"flip": True})


def test_overrides_are_yaml_values_laid_over_the_file(written) -> None:
    path = written("data: digits\nsearch: {trials: 5}")
    job = Job.from_file(path, ["search.trials=40", "space.fixed.filters=16", "data.path=a/b", "name=other"])
    assert (job.search.trials, job.space.fixed, job.data.path) == (40, {"filters": 16}, "a/b")
    assert (job.data.source, job.name) == ("digits", "other")
    assert job.overridden(["retrain.epochs=3"]).retrain.epochs == 3


def test_an_objective_knows_whether_it_is_to_be_large_or_small(written) -> None:
    search = Job.from_file(
        written("data: digits\nsearch: {objectives: [parameter_count, latency_ms, val_accuracy, val_loss]}")
    ).search
    assert search.optimized.metrics == ("val_accuracy", "parameter_count", "latency_ms", "val_loss")
    assert search.optimized.signs == (1.0, -1.0, -1.0, -1.0)


def test_every_problem_is_reported_at_once_with_its_path(written) -> None:
    path = written("data: digits\nserch: {}\nsearch: {trials: -3, max_epochs: many}\nresources: {gpus: -1}")
    lines = problems_of(path)
    assert [line.removeprefix(f"{path}: ").split(":")[0] for line in lines] == [
        "search.trials",
        "search.max_epochs",
        "resources.gpus",
        "serch",
    ]
    assert "-3 given; must be greater than 0" in lines[0]
    assert lines[2].endswith("-1 given; must be 0 to 1, or auto")
    assert 'did you mean "search"?' in lines[3]


@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan"])
@pytest.mark.parametrize(
    "field",
    [
        "resources.cpus",
        "resources.gpus",
        "resources.worker_memory_gb",
        "resources.max_epoch_hours",
        "storage.checkpoint_gb",
        "storage.checkpoint_secs",
        "search.trials",
        "search.budgets.gpu_hours",
        "search.budgets.wall_clock_hours",
        "search.budgets.target",
        "data.splits.val",
        "data.max_corrupt_fraction",
    ],
)
def test_a_number_that_is_not_finite_is_refused_in_one_line(written, field: str, number: str) -> None:
    with pytest.raises(InputError) as caught:
        Job.from_file(written("data: digits"), [f"{field}={number}"])
    (problem,) = caught.value.problems
    assert f"{field}: {number.replace('.', '')} given; must be" in str(problem)


@pytest.mark.parametrize("value", [".inf", ".nan"])
def test_a_parameter_held_at_no_finite_number_is_left_for_the_space_to_refuse(written, value: str) -> None:
    job = Job.from_file(written("data: digits"), [f"space.fixed.learning_rate={value}"])
    with pytest.raises(InputError, match="must be a finite number") as caught:
        prepared_space(job)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(("gpus", "fits"), [(0, True), (0.5, True), (1, True), (2.0, True), (1.5, False)])
def test_more_than_one_gpu_is_a_whole_number_of_them(written, gpus: float, fits: bool) -> None:
    text = f"data: digits\nresources: {{gpus: {gpus}}}"
    if fits:
        assert Job.from_file(written(text)).resources.gpus == gpus
        return
    with pytest.raises(InputError, match=r"resources\.gpus: 1.5 given; must be 0 to 1, or auto"):
        Job.from_file(written(text))


@pytest.mark.parametrize("name", ["cpus", "gpus"])
def test_a_share_that_ray_does_not_count_is_refused(written, name: str) -> None:
    for share in ("1.0e-300", "0.00009"):
        with pytest.raises(
            InputError, match=rf"resources\.{name}: .* given; must be .*(at least|or equal to) 0\.0001"
        ):
            Job.from_file(written(f"data: digits\nresources: {{{name}: {share}}}"))
    assert Job.from_file(written(f"data: digits\nresources: {{{name}: 0.0001}}"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty"),
        ("[1, 2]", "list at the top level"),
        ("search: {trials: 3}", "data: missing"),
        ("data: [", "must be valid YAML"),
        ("data: digits\ndata: cifar10", "'data' is given twice"),
        ("data: {source: digits, splits: {val: 0.6, test: 0.5}}", "val + test is 1.1"),
        ("data: {source: digits, splits: {val: 0}}", "data.splits.val: 0 given; must be greater than 0"),
        (
            "data: digits\nspace: {fixed: {learning_rate: [1]}}",
            "learning_rate: [1] given; must be a valid string or a valid integer or a valid number or",
        ),
        (
            "data: digits\nsearch: {max_epochs: 9, min_epochs: 10}",
            "min_epochs is 10, and max_epochs 9 is less",
        ),
        ("data: digits\nretrain: {seeds: 1}", "retrain.seeds: 1 given; must be greater than or equal to 2"),
        ("data: digits\nsearch: {trials: true}", "search.trials: True given; must be a number"),
        ("data: digits\nsearch: {budgets: {epochs: true}}", "epochs: True given; must be a number"),
        ("data: {source: digits, splits: {val: true}}", "val: True given; must be a number"),
        ("data: {sourc: digits}", 'did you mean "source"?'),
        ("data: digits\nsearch: 3", "search: 3 given; must be"),
        (
            "data: digits\nsearch: {objectives: [val_loss, latency_ms]}",
            "objectives is [val_loss, latency_ms], and must hold val_accuracy and at least one other",
        ),
        ("data: digits\nsearch: {objectives: [val_accuracy]}", "must hold val_accuracy and at least"),
        ("data: digits\nsearch: {objectives: [val_accuracy, speed]}", "'latency_ms'"),
        (
            "data: digits\nsearch: {metric: accuracy}",
            "must be 'val_accuracy', 'val_loss', 'val_balanced_accuracy'",
        ),
        (
            "data: digits\nresources: {precision: float16}",
            "precision: 'float16' given; must be 'auto', 'float32' or 'mixed_bfloat16'",
        ),
        ("data: digits\nresources: {xla: maybe}", "xla: 'maybe' given; must be 'auto', 'on' or 'off'"),
        ("data: digits\nresources: {steps_per_call: 0}", "steps_per_call: 0 given; must be greater than 0"),
        ("data: digits\nname: ../up", "name: '../up' given; must be up to 100 letters, digits, dots"),
        ("data: digits\nspace: {fixed: [1, 2]}", "space.fixed: [1, 2] given; must be keys and values"),
        (
            "data: digits\ntracking: {uri: 'htp://server:5000'}",
            "tracking.uri: 'htp://server:5000' given; must begin with databricks, file, http, https, mssql, mysql,",
        ),
        ("data: {path: ''}", "data.path: '' given; must have at least 1 character"),
    ],
)
def test_each_mistake_gets_one_clear_line(written, text: str, expected: str) -> None:
    lines = problems_of(written(text))
    assert len(lines) == 1
    assert expected in lines[0]
    assert "\n" not in lines[0]


@pytest.mark.parametrize(("text", "xla"), [("auto", None), ("on", True), ("off", False), ("true", True)])
def test_the_execution_request_takes_what_yaml_reads(written, text: str, xla: bool | None) -> None:
    path = written(f"data: digits\nresources: {{xla: {text}, precision: mixed_bfloat16, steps_per_call: 8}}")
    job = Job.from_file(path)
    assert job.resources.execution_request() == ExecutionRequest("mixed_bfloat16", xla, 8)
    assert Job.from_dict(job.model_dump(mode="json"), "saved") == job
    assert Job.from_file(written("data: digits")).resources.execution_request() == ExecutionRequest()


@pytest.mark.parametrize(
    "uri", ["postgresql+psycopg2://user@server/mlflow", "sqlite:///a.db", "mlruns", "databricks"]
)
def test_mlflow_may_be_any_store_that_it_knows(written, uri: str) -> None:
    assert Job.from_file(written(f"data: digits\ntracking: {{uri: '{uri}'}}")).tracking.uri == uri


def test_the_splits_are_drawn_by_the_jobs_seed_or_by_their_own(written) -> None:
    job = Job.from_file(written("data: digits\nseed: 4"))
    assert (job.data_spec().seed, job.split_seed) == (4, 4)
    held = Job.from_file(written("data: {source: digits, seed: 4}\nseed: 5"))
    assert held.data_spec() == job.data_spec(), "another seed for the trials alone"


def test_where_trials_are_to_repeat_exactly_nothing_that_rounds_is_left_to_a_measurement(written) -> None:
    open_job = Job.from_file(written("data: digits\nresources: {deterministic: true}"))
    assert open_job.resources.execution_request() == ExecutionRequest("float32", xla=False)
    with_xla = Job.from_file(written("data: digits\nresources: {deterministic: true, xla: on}"))
    assert with_xla.resources.execution_request() == ExecutionRequest("float32", xla=True)


def test_a_missing_file_and_a_bad_override_are_named(tmp_path: Path, written) -> None:
    assert "no such file" in problems_of(tmp_path / "none.yaml")[0]
    assert "must be KEY.KEY=VALUE" in problems_of(written("data: digits"), "search.trials")[0]
    assert "--set search.trials" in problems_of(written("data: digits"), "search.trials=[")[0]


def test_a_folder_given_as_job_file_is_no_traceback(tmp_path: Path) -> None:
    assert "cannot be read" in problems_of(tmp_path)[0]


def test_the_source_is_found_from_the_path(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").touch()
    sources = {
        str(tmp_path): "parquet",
        "x.npz": "npz",
        str(tmp_path / "classes"): "folder",
    }
    for path, source in sources.items():
        assert Job.from_dict({"name": "a", "data": {"path": path}}, "job").data_spec().source == source


def test_a_job_cannot_be_changed_once_made() -> None:
    job = Job(name="a", data="digits")
    with pytest.raises(ValueError, match="frozen"):
        job.seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"folds": 1}, "data.folds: 1 given; must be 0, or from 2 to 20"),
        ({"folds": 21}, "data.folds: 21 given"),
        ({"folds": 5, "fold": 5}, "fold is 5, and must be below folds, which is 5"),
        ({"fold": 0}, "fold is 0, and must be below folds, which is 0"),
    ],
)
def test_folds_are_two_or_more_and_a_fold_is_one_of_them(data: dict[str, int], told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        Job.from_dict({"name": "a", "data": {"source": "digits", **data}}, "job")


def test_the_splits_of_a_search_do_not_depend_on_the_number_of_folds() -> None:
    data = {"source": "digits"}
    plain, folded = (
        Job.from_dict({"name": "a", "data": each}, "job") for each in (data, {**data, "folds": 5})
    )
    assert plain.data_spec() == folded.data_spec() and (plain.finalists, folded.finalists) == (0, 3)
    part = Job.from_dict({"name": "a", "data": {**data, "folds": 5, "fold": 2}}, "job").data_spec()
    assert (part.folds, part.fold) == (5, 2)
    assert (
        Job.from_dict({"name": "a", "data": {**data, "folds": 5}, "retrain": {"confirm": 7}}, "job").finalists
        == 7
    )


@pytest.mark.parametrize(
    ("metric", "target", "told"),
    [
        ("val_accuracy", 95, "budgets.target is 95, and val_accuracy lies from 0 to 1"),
        ("val_calibration_error", 1.5, "val_calibration_error lies from 0 to 1"),
        ("val_loss", -0.1, "val_loss is never below 0"),
        ("val_loss", 2.5, None),
        ("val_accuracy", 1, None),
    ],
)
def test_a_target_that_no_trial_can_reach_is_refused(metric: str, target: float, told: str | None) -> None:
    content = {"name": "a", "data": "digits", "search": {"metric": metric, "budgets": {"target": target}}}
    if told is None:
        assert Job.from_dict(content).search.budgets.target == target
        return
    with pytest.raises(InputError, match=told):
        Job.from_dict(content)


@pytest.mark.parametrize("name", ["a/b", "a:1", "", " ", "..", "x" * 257])
def test_a_name_that_mlflow_does_not_register_is_refused_before_anything_is_trained(name: str) -> None:
    with pytest.raises(InputError, match=r"retrain\.registered_name: .*without / and :"):
        Job.from_dict({"name": "a", "data": "digits", "retrain": {"registered_name": name}})
    with pytest.raises(InputError, match=r"tracking\.experiment"):
        Job.from_dict({"name": "a", "data": "digits", "tracking": {"experiment": "x" * 501}})
