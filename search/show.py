"""What the commands print of a run: leaders, progress, tables, the retrained winner."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from results.leaderboard import RUNNING, leaderboard, progress
from results.parts import read_tables
from results.schema import CONFIG

if TYPE_CHECKING:
    import pandas as pd

    from search.job import JobSpec
    from search.retrain import Retrained
    from search.run import Ended
    from search.runfolder import RunFolder

LEADERS_SHOWN = 5


def show_result(ended: Ended, job: JobSpec) -> None:
    """The end of a search: leaders, where the tables are, what to type next."""
    show_status(ended.folder, LEADERS_SHOWN)
    if ended.stop_reason:
        print(f"ended because the {ended.stop_reason}")
    print(f"tables     {ended.folder.root}/{{trials,epochs,proposals}} (Parquet)")
    if job.tracking.enabled:
        print(f"mlflow     mlflow ui --backend-store-uri {ended.folder.tracking(job).uri}")
    print(f"next       toprung retrain {shown(ended.folder.root)}")


def show_status(folder: RunFolder, top: int) -> None:
    """Progress and leaders, from the tables alone."""
    job = folder.job()
    proposals, epochs, trials = read_tables(folder.root)
    now = progress(proposals, epochs, trials, job.search.metric, job.search.mode)
    line = (
        f"{now.ended} of {job.search.trials} trials ended: {now.completed} completed, {now.stopped} stopped"
    )
    rate = f", {now.epochs_per_sec:.1f} a second" if now.running and now.epochs_per_sec else ""
    print(f"{job.name}: {line}, {now.failed} failed; {now.running} not ended; {now.epochs} epochs{rate}")
    board = leaderboard(proposals, epochs, trials, job.search.metric, job.search.mode, top)
    if len(board):
        print_table(without_constants(board))


def show_table(folder: RunFolder, top: int | None, layout: str, epochs_wanted: bool) -> None:
    """The trials, best first, or every epoch; as a table, or in a format for programs on standard output."""
    job = folder.job()
    proposals, epochs, trials = read_tables(folder.root)
    if epochs_wanted:
        frame = epochs.sort_values("sequence").drop(columns="extra").head(top or len(epochs))
    else:
        frame = leaderboard(proposals, epochs, trials, job.search.metric, job.search.mode, top)
    if layout == "csv":
        frame.to_csv(sys.stdout, index=False)
    elif layout == "json":
        print(frame.to_json(orient="records", date_format="iso", indent=2))
    elif layout == "parquet":
        frame.to_parquet(sys.stdout.buffer, index=False)
    else:
        print_table(frame if epochs_wanted else without_constants(frame))


def show_retrained(done: Retrained) -> None:
    """The report of a retrained winner."""
    report = done.report
    if not done.is_new:
        print(
            f"{report['trial_id']} was retrained already; the test set was read at {report['test_reads'][-1]}"
        )
    seen = f"{report['test_images']} images, read at {report['test_reads'][-1]}"
    print(f"test accuracy {report['test_accuracy']:.4f} ({seen})")
    worst = sorted(report["test_accuracy_per_class"].items(), key=lambda item: item[1])[:3]
    print("weakest classes " + ", ".join(f"{name} {accuracy:.3f}" for name, accuracy in worst))
    if len(report["test_reads"]) > 1:
        print(f"note: the test set was read {len(report['test_reads'])} times for this run")
    print(f"model      {done.folder.root}/retrain/model.keras (takes raw uint8 images)")
    print(f"report     {done.folder.root}/retrain/report.json")


def without_constants(board: pd.DataFrame) -> pd.DataFrame:
    """The board without configuration columns that say the same for every trial, and without empty ones."""
    config = [name for name in board.columns if str(name).startswith(CONFIG)]
    same = [name for name in config if len(board) > 1 and board[name].nunique(dropna=False) == 1]
    return board.drop(columns=[*same, "extra"], errors="ignore")


def print_table(frame: pd.DataFrame) -> None:
    """A frame as a table as wide as the terminal; in a log as wide as it needs."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 10_000)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in frame.columns:
        table.add_column(str(name).removeprefix(CONFIG), overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*map(cell, row), style="dim" if RUNNING in row else None)
    console.print(table)


def cell(value: object) -> str:
    """A value as people read it: four significant digits, nothing for what is missing."""
    if value is None or value != value or str(value) == "<NA>":
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def shown(root: str) -> str:
    """The root as short as it can be typed from here."""
    from pathlib import Path

    here = str(Path.cwd())
    return root.removeprefix(f"{here}/")
