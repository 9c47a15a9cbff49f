"""What a search makes of its folder: whether it has failed as a whole, and which states an earlier driver left."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from toprung.results.tables.rows import TrialFacts, proposal_row, trial_row
from toprung.results.tables.schema import PROPOSALS, TRIALS, run_schemas
from toprung.results.tables.writer import RunWriter
from toprung.search.driver.run_search import _loop, _resumed, why_all_failed
from toprung.search.jobs.load import parse_job
from toprung.search.preparation.prepare import config_kinds, new_strategy, prepared_space
from toprung.search.runs.run_folder import RunFolder
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.worker.checkpoints import Checkpoint, CheckpointStore

BROKEN = (Outcome.FAILED, None, "ValueError: my own error")


def trials(*rows: tuple[Outcome, float | None, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["outcome", "best_val_accuracy", "reason"])


def test_the_commonest_reasons_are_told_where_every_trial_failed() -> None:
    other = [
        (Outcome.DIVERGED, 0.5, "epoch 2 reported"),
        (Outcome.OOM, None, "no room"),
        (Outcome.OOM, None, "no room"),
    ]
    told = why_all_failed(trials(BROKEN, *other, BROKEN, BROKEN), "val_accuracy")
    assert told == "all 6 trials failed: 3 x FAILED, ValueError: my own error; 2 x OOM, no room"


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [BROKEN, (Outcome.STOPPED, None, "never started: wall_clock_hours")],
        [BROKEN, (Outcome.COMPLETED, 0.1, "trained all 3 epochs")],
        [BROKEN, (Outcome.PREEMPTED, 0.1, "its worker died")],
    ],
)
def test_a_search_with_a_trial_that_did_not_fail_has_not_failed(
    rows: list[tuple[Outcome, float | None, str]],
) -> None:
    assert why_all_failed(trials(*rows), "val_accuracy") is None


def test_states_of_stopped_trials_do_not_outlive_the_driver_that_was_killed(tmp_path: Path) -> None:
    content = {"name": "a", "data": "digits", "storage": {"path": str(tmp_path)}, "search": {"max_epochs": 9}}
    job = parse_job(content, "job")
    space, folder = prepared_space(job), RunFolder(job.run_root)
    folder.claim(job).release()
    schemas, states = run_schemas(config_kinds(space)), CheckpointStore(folder.checkpoints)
    ended = {"t00000": Outcome.COMPLETED, "t00001": Outcome.STOPPED, "t00002": None}
    earlier = new_strategy(job, space)
    with RunWriter(folder.root, schemas) as writer:
        for number, (name, outcome) in enumerate(ended.items()):
            states.save(Checkpoint(name, 1, "", (), {}))
            asked: Any = earlier.ask()
            writer.append(PROPOSALS, proposal_row(name, asked.config, number))
            if outcome:
                facts = TrialFacts(checkpoint=name if outcome is Outcome.COMPLETED else None)
                writer.append(TRIALS, trial_row(name, asked.config, outcome, [EpochReport(name, 1)], facts))
    states.save(Checkpoint("t00003", 1, "", (), {}))  # its proposal was still to be written
    states.wait()
    dataset = SimpleNamespace(fingerprint="f")
    prepared: Any = SimpleNamespace(job=job, strategy=new_strategy(job, space), dataset=dataset)
    with RunWriter(folder.root, schemas) as writer:
        _loop(prepared, folder, writer, _resumed(folder, prepared), 0.0)
    left = sorted(path.name for path in Path(folder.checkpoints).iterdir())
    assert left == ["t00000.npz", "t00002.npz", "t00003.npz"]
