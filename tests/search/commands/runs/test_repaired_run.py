"""A run that has lost a table is shown, reported and continued from what a repair could keep."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toprung.results.analysis.winner import pick_winner
from toprung.results.tables.parts import read_tables
from toprung.search.cli import main
from toprung.search.driver.resume import RecordedSearch, resume
from toprung.search.preparation.prepare import new_strategy, prepared_space

SEARCHES: dict[str, dict[str, Any]] = {
    "one objective": {},
    "promotions": {"variant": "promote"},
    "two objectives": {"objectives": ["val_accuracy", "val_loss"]},
    "bounds": {"constraints": {"val_loss": {"max": 0.9}}},
}


@pytest.mark.parametrize("kind", SEARCHES)
def test_without_its_epochs_a_run_has_its_winner_and_goes_on(
    made_run: Callable[..., Any], capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    folder = made_run(**SEARCHES[kind])
    job = folder.job()
    objectives = job.search.optimized
    _, epochs, trials = read_tables(folder.root)
    winner = pick_winner(trials, epochs, objectives.main)
    shutil.rmtree(Path(folder.root, "epochs"))
    assert main(["repair", folder.root]) == 0
    _, epochs, trials = read_tables(folder.root)
    again = pick_winner(trials, epochs, objectives.main)
    assert (again.trial_id, again.score, again.epoch) == (winner.trial_id, winner.score, winner.epoch)
    capsys.readouterr()
    for command in (["table", "--format", "json"], ["status"], ["report"]):
        assert main([command[0], folder.root, *command[1:]]) == 0, command
        told = capsys.readouterr()
        assert told.err == ""
        if command[0] == "table":
            assert json.loads(told.out)[0]["trial_id"] == winner.trial_id
    strategy = new_strategy(job, prepared_space(job))
    resumed = resume(strategy, RecordedSearch.read(folder.root), objectives.main)
    assert not resumed.unfinished and sum(resumed.outcomes.values()) == len(trials)
    assert resumed.leader is not None and resumed.leader.value == winner.score


@pytest.mark.parametrize("table", ["space", "rungs", "proposals", "trials"])
def test_without_another_of_its_tables_a_run_is_shown(
    made_run: Callable[..., Any], capsys: pytest.CaptureFixture[str], table: str
) -> None:
    folder = made_run()
    shutil.rmtree(Path(folder.root, table))
    assert main(["status", folder.root]) == 2
    assert main(["repair", folder.root]) == 0
    for command in ("table", "status", "report"):
        assert main([command, folder.root]) == 0, command
