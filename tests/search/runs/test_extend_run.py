"""`--set search.trials=+N`: so many more for a run, once and not again with every start."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from toprung.results.tables.rows import proposal_row, trial_row
from toprung.results.tables.schema import PROPOSALS, TRIALS, run_schemas
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter
from toprung.search.cli import main
from toprung.search.runs.extended_job import load_extended
from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.errors import InputError
from toprung.trainables.trial.report import Outcome


def end_trials(folder: RunFolder, count: int) -> None:
    with RunWriter(folder.root, run_schemas({})) as writer:
        for number in range(count):
            writer.append(PROPOSALS, proposal_row(f"t{number:05}", {}, number))
            writer.append(TRIALS, trial_row(f"t{number:05}", {}, Outcome.STOPPED, [], TrialDetails()))


def test_more_trials_are_added_once_the_earlier_ones_have_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        yaml.safe_dump({"data": "digits", "storage": {"path": str(tmp_path)}, "search": {"trials": 2}})
    )
    more = ["search.trials=+3"]
    assert load_extended(path, more).search.trials == 5, "a new run has as many more"
    folder = RunFolder(str(tmp_path / "a"))
    folder.claim(load_extended(path)).release()
    assert load_extended(path, more).search.trials == 2, "its own trials have not ended"
    end_trials(folder, 2)
    extended = load_extended(path, more)
    assert extended.search.trials == 5
    folder.claim(extended).release()
    assert load_extended(path, more).search.trials == 5, "interrupted, and the same command typed again"


def test_more_trials_are_added_to_those_that_ended_before_the_number_was_lowered(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump({"data": "digits", "storage": {"path": str(tmp_path)}}))
    folder = RunFolder(str(tmp_path / "a"))
    folder.claim(load_extended(path, ["search.trials=2"])).release()
    end_trials(folder, 6)
    assert load_extended(path, ["search.trials=+3"]).search.trials == 9


def test_a_simulation_counts_the_added_trials_as_the_search_will(
    job_file, capsys: pytest.CaptureFixture[str]
) -> None:
    path = job_file(search={"trials": 6, "max_epochs": 3, "sampler": "random"})
    assert main(["simulate", str(path), "--set", "search.trials=+5", "--workers", "1"]) == 0
    assert ": 11 trials of up to 3 epochs" in capsys.readouterr().out


def test_an_addition_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("data: digits")
    with pytest.raises(InputError, match="must be a number"):
        load_extended(path, ["search.trials=+many"])


def test_a_check_counts_the_added_trials_as_the_search_will(
    job_file, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOPRUNG_CACHE", str(tmp_path / "cache"))
    path = job_file(search={"trials": 6, "max_epochs": 9})

    def checked(trials: str) -> str:
        assert main(["check", str(path), "--set", f"search.trials={trials}"]) == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epochs")]
        return line

    assert "for search.trials 11 (99 without early stopping)" in checked("+5")
    assert checked("+5") == checked("11")
    folder = RunFolder(str(tmp_path / "runs" / "small"))
    assert not Path(folder.root).exists(), "a check leaves nothing"
    folder.claim(load_extended(path)).release()
    assert checked("+5") == checked("6"), "its own trials have not ended"
    end_trials(folder, 6)
    assert checked("+5") == checked("11")
    assert folder.job().search.trials == 6
