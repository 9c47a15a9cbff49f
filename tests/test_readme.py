"""The README tells the truth: its commands parse, its job is valid, its queries run, its files exist."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from toprung.results.tables.schema import SPACE, TABLES, run_schemas
from toprung.results.tables.space_rows import space_rows
from toprung.results.tables.writer import RunWriter
from toprung.search.cli import COMMANDS
from toprung.search.driver.checkpoint_retention import CheckpointRetention
from toprung.search.driver.recorder import Recorder, SharedFacts
from toprung.search.jobs.schema import Job
from toprung.search.loop.trial_state import ActiveTrial, TrialEnd
from toprung.search.strategy.strategy import Strategy
from toprung.spaces.definition.introspection import describe
from toprung.spaces.errors import InputError
from toprung.spaces.families.registry import load_space
from toprung.trainables.trial.messages import TrialStart, Worker
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.worker.checkpoints import CheckpointStore

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The code blocks of a language; "" for those that name none, which hold commands and their output."""
    found: list[tuple[str, list[str]]] = []
    inside = False
    for line in README.splitlines(keepends=True):
        if line.startswith("```"):
            inside = not inside
            if inside:
                found.append((line.removeprefix("```").strip(), []))
        elif inside:
            found[-1][1].append(line)
    return ["".join(lines) for name, lines in found if name == language]


def test_the_two_commands_set_themselves_up() -> None:
    commands = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert len(commands) == 2
    for command in commands:
        assert "-c cluster/constraints.txt" in command
    jobs = re.findall(r"search/jobs/\S+\.yaml", README)
    assert jobs and all((ROOT / job).exists() for job in jobs)


def test_every_toprung_command_shown_is_one() -> None:
    shown = re.findall(r"(?:^|&& |-- )toprung ([\w-]+)", "\n".join(blocks("")), flags=re.MULTILINE)
    commands = set(shown) | set(re.findall(r"`toprung ([\w-]+)", README))
    assert commands == set(COMMANDS), "the README shows every command, and no other"


def test_the_job_shown_is_valid_and_names_every_section() -> None:
    (text,) = blocks("yaml")
    job = Job.from_dict(yaml.safe_load(text), "README.md")
    assert job.search.budgets.target == 0.95
    assert set(yaml.safe_load(text)) == set(Job.model_fields)


def write_run(root: Path, values: list[float], ends: bool = True) -> RunWriter:
    """A search of trials with one value each, the last of which still runs unless it `ends`; the writer is open."""

    def space(trial: Any) -> dict[str, Any]:
        return {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True), "blocks": 2}

    strategy = Strategy.for_space(space, 3, 0)
    writer = RunWriter(root, run_schemas({"learning_rate": "float", "blocks": "int"}))
    retention = CheckpointRetention(CheckpointStore(f"{root}/checkpoints"), strategy.objectives.main)
    recorder = Recorder(writer, strategy, retention, SharedFacts(strategy.objectives, "f", 1.0, 0.0))
    for row in space_rows(space):
        writer.append(SPACE, row)
    for number, value in enumerate(values):
        proposal: Any = strategy.ask()
        start = TrialStart(proposal.trial_id, number, number, proposal.config)
        metrics = {"val_accuracy": value, "train_accuracy": value + 0.1}
        report = EpochReport(proposal.trial_id, 1, metrics, 1.0, 1.0)
        recorder.proposed(start, "random")
        trial = ActiveTrial(start, [report], worker=Worker("node", 1 + number % 2))
        recorder.reported(trial, report, strategy.report(report))
        if ends or number + 1 < len(values):
            recorder.ended(trial, TrialEnd(Outcome.STOPPED, "cut"))
    writer.flush()
    return writer


def test_the_queries_shown_run_on_a_run_and_on_several_while_they_are_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    values = [0.5, 0.6, 0.7, 0.4, 0.65, 0.55, 0.8, 0.3]
    queries = [code for code in blocks("python") if re.match(r"import (pandas|duckdb|polars)", code)]
    assert [number for code in queries for number in re.findall(r"^# (\d+)\. ", code, re.MULTILINE)] == [
        str(number) for number in range(1, 11)
    ]
    writers = [
        write_run(tmp_path / "runs" / "quickstart", values, ends=False),
        write_run(tmp_path / "runs" / "b", [0.9]),
    ]
    for query in queries:
        exec(compile(query, "README.md", "exec"), {})
    for writer in writers:
        writer.close()
    printed = capsys.readouterr().out
    assert "t00006" in printed and "learning_rate" in printed and "quickstart" in printed
    assert "RUNNING" in printed, "the last trial has not ended"


def test_the_model_shown_is_a_family_with_a_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = [code for code in blocks("python") if code.startswith("class MyFamily")]
    (tmp_path / "shown_in_readme.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    assert {"width", "learning_rate"} <= set(describe(load_space("shown_in_readme.py:MyFamily")))


@pytest.mark.slow
def test_the_model_shown_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toprung.trainables.models.family import load_family
    from toprung.trainables.task.task import Task

    (code,) = [code for code in blocks("python") if code.startswith("class MyFamily")]
    (tmp_path / "built_from_readme.py").write_text(code)
    family = load_family(str(tmp_path / "built_from_readme.py:MyFamily"))
    task = Task((16, 16, 3), ("a", "b", "c"), 1, None, None)
    assert family.build({"width": 8}, task).output_shape == (None, 3)


@pytest.mark.slow
def test_the_python_shown_runs_in_a_thread_with_a_running_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = [code for code in blocks("python") if "from toprung.search import" in code]
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}

    async def cell() -> None:
        exec(compile(code, "README.md", "exec"), names)

    with ThreadPoolExecutor(1) as notebook:
        notebook.submit(lambda: asyncio.run(cell())).result()
    assert len(names["found"].trials) == 4 and names["found"].best.trial_id == names["report"]["trial_id"]
    images = np.zeros((2, *names["report"]["image_shape"]), np.uint8)
    assert names["model"].predict(images, verbose=0).shape == (2, 10)
    assert names["report"]["registered"] == "models:/digit-reader/1"
    printed = capsys.readouterr().out
    assert "BestTrial(trial_id=" in printed and "note:" not in printed
    with pytest.raises(InputError, match=r"search\.trials: 0 given; must be greater than 0"):
        names["Job"](name="digits", data="digits", search={"trials": 0})


def test_files_and_folders_named_exist() -> None:
    folders = "search|results|cluster|spaces|trainables|tests"
    named = re.findall(rf"(?:^|[\s`(])((?:{folders})/[\w./-]*\w)", README, flags=re.MULTILINE)
    linked = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", README)
    assert len(named) > 10
    assert linked
    assert [name for name in (*named, *linked) if not (ROOT / name).exists()] == []


def test_columns_named_are_those_of_the_tables() -> None:
    schemas = run_schemas({})
    for table in TABLES:
        row = next(line for line in README.splitlines() if line.startswith(f"| `{table}`"))
        for name in re.findall(
            r"\b[a-z]+_(?:id|at|secs|epochs?|count|per_sec|rate|fingerprint|kind|reason|index|value)\b", row
        ):
            assert name in schemas[table].names, f"{table} has no {name}"
