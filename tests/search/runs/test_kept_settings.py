"""A run's job file that was changed by hand is noticed by whoever reads it, in what a run may not change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from toprung.search.cli import main
from toprung.search.jobs.schema import Job
from toprung.search.runs.kept_settings import SETTINGS_FILE
from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.errors import InputError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    content = {"name": "a", "data": "digits", "storage": {"path": str(tmp_path)}}
    mine = Job.from_dict(content, "job")
    RunFolder(mine.run_root).claim(mine).release()
    return tmp_path / "a"


def change(run: Path, section: str | None, key: str, value: Any) -> None:
    document = yaml.safe_load((run / "job.yaml").read_text())
    (document[section] if section else document)[key] = value
    (run / "job.yaml").write_text(yaml.safe_dump(document))


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (None, "seed", 1),
        ("search", "metric", "val_loss"),
        ("search", "max_epochs", 3),
        ("data", "task", "binary"),
    ],
)
def test_a_changed_setting_is_one_line_of_every_reader(
    run: Path, section: str | None, key: str, value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = RunFolder(str(run)).job().settings()
    change(run, section, key, value)
    name = f"{section}.{key}" if section else key
    for command in ("status", "table", "report", "retrain"):
        assert main([command, str(run)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(
            f"toprung: {run}/job.yaml: {name}: is {value!r} and was {before[name]!r}; put it back"
        )


def test_what_a_continuation_may_change_may_be_changed_there_too(run: Path) -> None:
    change(run, "search", "trials", 99)
    change(run, "resources", "cpus", 2)
    assert RunFolder(str(run)).job().search.trials == 99


def test_a_run_of_an_earlier_version_has_no_record_and_is_read(run: Path) -> None:
    (run / SETTINGS_FILE).unlink()
    change(run, None, "seed", 1)
    assert RunFolder(str(run)).job().seed == 1


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_damaged_record_is_told(run: Path, content: bytes) -> None:
    (run / SETTINGS_FILE).write_bytes(content)
    with pytest.raises(InputError, match=rf"RUN: {SETTINGS_FILE} of {run} is damaged"):
        RunFolder(str(run)).job()
