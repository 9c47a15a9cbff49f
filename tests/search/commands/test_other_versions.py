"""A run that another version of toprung wrote is told in one line by every command that would read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from toprung.results.tables.schema import TABLES, run_schemas
from toprung.results.tables.writer import RunWriter
from toprung.search.cli import main
from toprung.search.jobs.schema import Job
from toprung.search.runs.run_folder import RunFolder


@pytest.fixture(params=["3", "1", None], ids=["newer", "older", "oldest"])
def job(request: pytest.FixtureRequest, job_file: Callable[..., Path], tmp_path: Path) -> tuple[Path, str]:
    """A job file whose run is of a version with other tables, and what is to be said of it."""
    path = job_file()
    spec = Job.from_file(path)
    folder = RunFolder(spec.run_root)
    with folder.claim(spec) as lock:
        RunWriter(folder.root, run_schemas({}), lock=lock).close()
    for part in Path(folder.root).rglob("*.parquet"):
        rows = pq.read_table(part)
        metadata = {key: value for key, value in rows.schema.metadata.items() if b"version" not in key}
        if request.param:
            metadata[b"toprung.schema_version"] = request.param.encode()
        pq.write_table(rows.replace_schema_metadata(metadata), part)
    return (
        path,
        f"tables of schema version {request.param}" if request.param else "tables without a schema version",
    )


@pytest.mark.parametrize("command", ["status", "table", "retrain", "search", "check"])
def test_every_command_says_which_version_the_tables_have(
    command: str,
    job: tuple[Path, str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOPRUNG_CACHE", str(tmp_path / "cache"))
    path, given = job
    root = tmp_path / "runs" / "small"
    assert main([command, str(path if command in {"search", "check"} else root)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"toprung: {root}/") and f"{given}; must be of version 2" in line
    assert any(f"{root}/{table}: " in line for table in TABLES)
