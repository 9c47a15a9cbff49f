"""`toprung rerun`: the row alone trains the same model again, and what is otherwise is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from toprung.results.tables.parts import part_names, put_part, read_part, read_table
from toprung.results.tables.rows import epoch_row, proposal_row, trial_row
from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS, run_schemas
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter
from toprung.search.cli import main
from toprung.search.jobs.schema import Job
from toprung.search.rerun.recorded_trial import RecordedTrial
from toprung.search.rerun.row_plan import execution_of
from toprung.search.runs.run_folder import RunFolder
from toprung.trainables.system.storage import Storage
from toprung.trainables.trial.execution import ExecutionPlan
from toprung.trainables.trial.report import EpochReport, Outcome

MODEL = """
class Family:
    def space(self, trial):
        rate = trial.suggest_float("learning_rate", 1e-3, 1e-2, log=True)
        dropout = trial.suggest_float("dropout", 0.1, 0.3)
        return {"optimizer": "adamw", "batch_size": 64, "augment": 0.2, "learning_rate": rate, "dropout": dropout}

    def build(self, config, task):
        import keras
        from widths import WIDTH

        images = keras.Input(task.image_shape)
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
        x = keras.layers.Dropout(config["dropout"])(keras.layers.Dense(WIDTH, activation="relu")(x))
        return keras.Model(images, keras.layers.Dense(task.outputs)(x))
"""


def recorded(tmp_path: Path, outcome: Outcome | None, epochs: int = 2, **facts: Any) -> RunFolder:
    """A run of one trial, which has ended unless `outcome` is None."""
    job = Job.from_dict({"name": "a", "data": "digits", "storage": {"path": str(tmp_path)}}, "job")
    folder = RunFolder(job.run_root)
    folder.claim(job).release()
    config = {"batch_size": 64}
    reports = [EpochReport("t00000", epoch, {"val_accuracy": 0.5}) for epoch in range(1, epochs + 1)]
    details = TrialDetails(**{"seed": 5, "data_fingerprint": "f" * 64, **facts})
    with RunWriter(folder.root, run_schemas({"batch_size": "int"})) as writer:
        writer.append(PROPOSALS, proposal_row("t00000", config, 5))
        for index, report in enumerate(reports):
            writer.append(EPOCHS, epoch_row(report, index, "KEEP"))
        if outcome:
            writer.append(TRIALS, trial_row("t00000", config, outcome, reports, details, reason="why"))
    return folder


def test_the_row_says_what_is_trained_how_and_how_far(tmp_path: Path) -> None:
    facts = {"precision": "mixed_bfloat16", "xla": True, "steps_per_call": 16, "micro_batch_size": 32}
    trial = RecordedTrial.read(recorded(tmp_path, Outcome.STOPPED, **facts), "t00000")
    assert (trial.config, trial.seed, trial.epochs, len(trial.reports)) == ({"batch_size": 64}, 5, 2, 2)
    assert execution_of(trial, 1000) == ExecutionPlan("mixed_bfloat16", True, 16, micro_batches=2)


@pytest.mark.parametrize(
    ("outcome", "epochs"),
    [(Outcome.FAILED, 3), (Outcome.OOM, 3), (Outcome.DIVERGED, 2), (Outcome.PREEMPTED, 2)],
)
def test_a_trial_that_failed_is_trained_up_to_the_epoch_in_which_it_did(
    tmp_path: Path, outcome: Outcome, epochs: int
) -> None:
    trial = RecordedTrial.read(recorded(tmp_path, outcome), "t00000")
    assert trial.epochs == epochs and execution_of(trial, 1000) is None


@pytest.mark.parametrize(
    ("outcome", "facts", "arguments", "line"),
    [
        (Outcome.COMPLETED, {}, ["t00009"], "TRIAL: 't00009' is no trial of"),
        (None, {}, ["t00000"], "TRIAL: t00000 has not ended; wait for its end"),
        (Outcome.COMPLETED, {"seed": None}, ["t00000"], "TRIAL: the row of t00000 holds no seed"),
        (Outcome.COMPLETED, {}, ["t00000"], "data: the images are not those of t00000"),
        (Outcome.COMPLETED, {"code_fingerprint": "c" * 64}, ["t00000"], "space.name: "),
        (Outcome.COMPLETED, {}, ["t00000", "--set", "search.max_epochs=3"], "and a rerun cannot change it"),
        (Outcome.COMPLETED, {}, ["t00000", "--set", "data.path=/none"], "data"),
    ],
)
def test_what_cannot_be_trained_again_is_told_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    outcome: Outcome | None,
    facts: dict[str, Any],
    arguments: list[str],
    line: str,
) -> None:
    folder = recorded(tmp_path, outcome, **facts)
    assert main(["rerun", folder.root, *arguments]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("toprung: ") and line in told
    assert main(["rerun", str(tmp_path), "t00000"]) == 2, "no run"


def test_a_trial_that_never_began_has_nothing_to_compare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rerun", recorded(tmp_path, Outcome.TIMEOUT, epochs=0).root, "t00000"]) == 2
    assert "TRIAL: t00000 has no epoch (TIMEOUT: why)" in capsys.readouterr().err


@pytest.mark.slow
def test_a_searched_trial_comes_out_the_same_with_the_code_it_had_and_a_row_that_was_changed_does_not(
    on_cluster: Any, toprung: Any, tmp_path: Path
) -> None:
    model = tmp_path / "my_models.py"
    model.write_text(MODEL)
    (tmp_path / "widths.py").write_text("WIDTH = 16\n")
    job = tmp_path / "small.yaml"
    settings = {"data": "digits", "space": f"{model}:Family", "search": {"trials": 3, "max_epochs": 3},
                "resources": {"concurrent": 1}, "tracking": {"enabled": False},
                "storage": {"path": str(tmp_path / "runs")}}  # fmt: skip
    job.write_text(yaml.safe_dump(settings))
    assert on_cluster("search", job).wait().returncode == 0
    run = tmp_path / "runs" / "small"
    trials = read_table(str(run), TRIALS)
    assert trials["code_fingerprint"].notna().all() and trials["versions"].str.contains("Keras").all()
    model.write_text("Family = None  # of another version\n")
    before = everything(run)

    same = toprung("rerun", run, "t00001").wait()
    assert same.returncode == 0, same.stderr
    last = int(trials.set_index("trial_id")["last_epoch"]["t00001"])
    assert f"epoch {last}/{last}: val_accuracy" in same.stdout and ", as in the search" in same.stdout
    assert f"same       t00001: {last} epoch" in same.stdout and "clean_train_accuracy" in same.stdout
    assert f"note       trained with {run}/code/my_models-" in same.stdout
    assert everything(run) == before, "nothing in the run is changed"

    change(str(run), "t00001", epoch=last)
    other = on_cluster("rerun", run, "t00001").wait()
    assert other.returncode == 1
    assert f"different  t00001 from epoch {last} on: val_loss" in other.stdout
    assert "nothing that the row records" in other.stdout
    assert other.stderr == "toprung: t00001 did not come out as in the search\n"


def everything(run: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}


def change(root: str, trial_id: str, epoch: int) -> None:
    """Another value of val_loss in the table of epochs, as if the training had been another."""
    storage = Storage.at(root)
    for name in part_names(storage, EPOCHS):
        rows = read_part(storage, EPOCHS, name).rows
        frame: pd.DataFrame = rows.to_pandas()
        frame.loc[(frame["trial_id"] == trial_id) & (frame["epoch"] == epoch), "val_loss"] += 1e-6
        put_part(storage, EPOCHS, name, rows.from_pandas(frame, schema=rows.schema, preserve_index=False))
