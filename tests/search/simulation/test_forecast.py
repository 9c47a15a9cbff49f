"""`toprung simulate` runs the job's own strategy on curves and prints its cost."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest
import yaml

from toprung.results.tables.rows import epoch_row, proposal_row, trial_row
from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS, run_schemas
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter
from toprung.search.cli import main
from toprung.search.jobs.schema import Job
from toprung.search.preparation.prepare import config_kinds, prepared_space
from toprung.search.runs.run_folder import RunFolder
from toprung.search.simulation.blackbox import TypicalCurves
from toprung.search.simulation.forecast import Forecast, draw_forecasts, forecast
from toprung.search.simulation.simulator import SimResult
from toprung.spaces.definition.introspection import RecordingTrial
from toprung.spaces.errors import InputError
from toprung.trainables.trial.report import EpochReport, Outcome


@pytest.fixture
def path(tmp_path: Path) -> Path:
    job = {
        "data": "digits",
        "search": {"trials": 27, "max_epochs": 9, "sampler": "random"},
        "resources": {"gpus": 0.5},
        "storage": {"path": str(tmp_path / "runs")},
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    return tmp_path / "job.yaml"


def finished_run(path: Path, trials: int = 12, epochs: int = 9) -> Path:
    """A run whose every trial trained fully; the value at epoch e of trial n is n + e / 100."""
    job = Job.from_file(path)
    space = prepared_space(job)
    root = path.parent / "runs" / "job"
    RunFolder(str(root)).claim(job).release()
    with RunWriter(root, run_schemas(config_kinds(space))) as writer:
        for number in range(trials):
            config = space(RecordingTrial(random.Random(number), {}))
            trial_id = f"t{number:05d}"
            reports = [
                EpochReport(trial_id, epoch, {"val_accuracy": number + epoch / 100}, 2.0, 2.0 * epoch)
                for epoch in range(1, epochs + 1)
            ]
            writer.append(PROPOSALS, proposal_row(trial_id, config, number))
            for sequence, report in enumerate(reports):
                writer.append(EPOCHS, epoch_row(report, number * epochs + sequence, "KEEP"))
            writer.append(TRIALS, trial_row(trial_id, config, Outcome.COMPLETED, reports, TrialDetails()))
    return root


def test_halving_trains_fewer_epochs_than_all_and_more_workers_end_sooner(path: Path) -> None:
    one, nine = forecast(Job.from_file(path), [1, 9], None, epoch_secs=36.0)
    for cost in (one, nine):
        assert cost.trials == 27
        assert 27 <= cost.epochs < 27 * 9
        assert cost.gpu_hours == pytest.approx(cost.epochs * 0.01 * 0.5, rel=1e-6), "half a GPU each"
    assert one.hours == pytest.approx(one.epochs * 0.01), "one worker trains all the time"
    assert nine.hours < one.hours / 3


def test_typical_curves_are_the_configuration_s_own(path: Path) -> None:
    curves = TypicalCurves(prepared_space(Job.from_file(path)), 9, 60.0)
    values, secs = curves.curve({"a": 1})
    np.testing.assert_array_equal(values, curves.curve({"a": 1})[0])
    assert not np.array_equal(values, curves.curve({"a": 2})[0])
    assert secs[-1] == 9 * 60.0


def test_a_finished_run_gives_its_curves_and_what_would_be_found(path: Path, capsys) -> None:
    root = finished_run(path)
    (cost,) = forecast(Job.from_file(path), [4], str(root), epoch_secs=60.0)
    assert cost.best <= 11.09
    assert cost.result.busy_secs == pytest.approx(cost.epochs * 2.0)
    picture = path.parent / "cost.png"
    assert main(["simulate", str(path), "--workers", "2", "--from", str(root), "--out", str(picture)]) == 0
    assert "curves of" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("budget", "most_epochs"), [("epochs=30", 30 + 9), ("gpu_hours=0.01", 36 + 9), ("target=0.2", 45)]
)
def test_a_forecast_keeps_the_budgets_of_the_job(path: Path, budget: str, most_epochs: int) -> None:
    job = Job.from_file(
        path, [f"search.budgets.{budget}"]
    )  # 0.01 GPU-hours are 36 epochs of 2 s on half a GPU
    (cost,) = forecast(job, [2], None, epoch_secs=2.0)
    (without,) = forecast(Job.from_file(path), [2], None, epoch_secs=2.0)
    assert cost.epochs <= most_epochs < without.epochs


@pytest.mark.parametrize("trained", [3, 27])
def test_a_run_is_cut_or_continued_to_the_epochs_of_the_job(path: Path, trained: int) -> None:
    root = finished_run(path, epochs=trained)
    document = yaml.safe_load((root / "job.yaml").read_text())
    document["search"]["max_epochs"] = 27  # as where a budget ended the search before a trial was through
    (root / "job.yaml").write_text(yaml.safe_dump(document))
    (root / "settings.json").unlink()  # which says that it was 3 when the search began
    (cost,) = forecast(Job.from_file(path), [1], str(root), epoch_secs=60.0)
    assert max(incumbent.epoch for incumbent in cost.result.incumbents) <= 9
    assert cost.completed < cost.trials / 2
    assert cost.hours == pytest.approx(cost.epochs * 2.0 / 3600)


def test_a_run_that_did_not_report_the_metric_is_refused(path: Path) -> None:
    root = finished_run(path)
    with pytest.raises(InputError, match="no value of val_macro_f1"):
        list(forecast(Job.from_file(path, ["search.metric=val_macro_f1"]), [1], str(root), 1.0))


def test_a_job_with_bounds_is_refused_with_the_way_to_forecast_it(path: Path) -> None:
    bounded = Job.from_file(path, ["search.constraints.latency_ms.max=5"])
    with pytest.raises(InputError, match=r"search\.constraints: given, .*--set search\.constraints={}"):
        list(forecast(bounded, [1], None, 1.0))
    (cost,) = forecast(bounded.overridden(["search.constraints={}"]), [1], None, 1.0)
    assert cost.trials > 0


def test_a_search_that_found_nothing_is_left_out_of_the_picture(tmp_path: Path) -> None:
    nothing = Forecast(2, 1.0, 0.0, 0, 3, 0, math.nan, SimResult())
    draw_forecasts([nothing], "val_accuracy", "all trials diverge", tmp_path / "cost.png")
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_that_is_too_short_or_empty_is_refused(path: Path) -> None:
    root = finished_run(path)
    longer = Job.from_file(path, ["search.max_epochs=27"])
    with pytest.raises(InputError, match="trained 9 epochs at most"):
        list(forecast(longer, [1], str(root), 1.0))
    with pytest.raises(InputError, match="must be a run folder"):
        list(forecast(longer, [1], str(path.parent / "none"), 1.0))


@pytest.mark.parametrize("wrong", [["--from", "nowhere"], ["--set", "search.warm_start=[nowhere]"]])
def test_a_run_that_does_not_exist_is_refused_before_anything_is_printed(
    path: Path, capsys, wrong: list[str]
) -> None:
    assert main(["simulate", str(path), *wrong]) == 2
    printed = capsys.readouterr()
    assert "nowhere holds no job.yaml" in printed.err and not printed.out
