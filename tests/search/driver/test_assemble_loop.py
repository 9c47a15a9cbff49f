"""What the loop of a run begins with: the checkpoints that earlier drivers left behind."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from toprung.results.tables.rows import epoch_row, proposal_row, trial_row
from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS, run_schemas
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter
from toprung.search.driver.assemble_loop import assemble_loop
from toprung.search.driver.open_run import OpenRun, resume_run
from toprung.search.jobs.schema import Job
from toprung.search.preparation.prepare import config_kinds, new_strategy, prepared_space
from toprung.search.runs.run_folder import RunFolder
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.worker.checkpoints import Checkpoint, CheckpointStore


def test_checkpoints_of_stopped_trials_do_not_outlive_the_driver_that_was_killed(tmp_path: Path) -> None:
    content = {"name": "a", "data": "digits", "storage": {"path": str(tmp_path)}, "search": {"max_epochs": 9}}
    job = Job.from_dict(content, "job")
    space, folder = prepared_space(job), RunFolder(job.run_root)
    folder.claim(job).release()
    schemas, store = run_schemas(config_kinds(space)), CheckpointStore(folder.checkpoints)
    ended = {"t00000": Outcome.COMPLETED, "t00001": Outcome.STOPPED, "t00002": None}
    earlier = new_strategy(job, space)
    with RunWriter(folder.root, schemas) as writer:
        for number, (name, outcome) in enumerate(ended.items()):
            store.save(Checkpoint(name, 1, "", (), {}))
            proposal: Any = earlier.ask()
            writer.append(PROPOSALS, proposal_row(name, proposal.config, number))
            if outcome:
                facts = TrialDetails(checkpoint=name if outcome is Outcome.COMPLETED else None)
                reports = [EpochReport(name, 1, {"val_accuracy": 0.5})]
                writer.append(EPOCHS, epoch_row(reports[0], number, "keep"))
                writer.append(TRIALS, trial_row(name, proposal.config, outcome, reports, facts))
    store.save(Checkpoint("t00003", 1, "", (), {}))  # its proposal was still to be written
    store.wait()
    dataset = SimpleNamespace(fingerprint="f")
    prepared: Any = SimpleNamespace(job=job, space=space, strategy=new_strategy(job, space), dataset=dataset)
    with RunWriter(folder.root, schemas) as writer:
        loop = assemble_loop(OpenRun(prepared, folder, writer, resume_run(folder, prepared)), gpus=0.0)
    assert loop.outcomes == {Outcome.COMPLETED: 1, Outcome.STOPPED: 1}
    left = sorted(path.name for path in Path(folder.checkpoints).iterdir())
    assert left == ["t00000.npz", "t00002.npz", "t00003.npz"]
