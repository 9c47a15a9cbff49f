"""What the commands print about a run: progress, leaders, tables, the retrained winner."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from toprung.results.analysis.leaderboard import leaderboard, progress
from toprung.results.analysis.render import Format, write
from toprung.results.analysis.winner import rank_trials
from toprung.results.tables.parts import read_tables
from toprung.results.tables.schema import OVERFLOW, RUN, TRIALS
from toprung.search.driver.failed_trials import failure_summary
from toprung.search.driver.progress import per_time, preemptions_in_words
from toprung.search.winner.model_file import MODEL_FILE
from toprung.search.winner.report import REPORT_FILE
from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from toprung.search.driver.run_search import SearchResult
    from toprung.search.jobs.schema import Job
    from toprung.search.runs.run_folder import RunFolder
    from toprung.search.winner.retrain import Retrained

RESULT_LEADERS = 5


def show_result(ended: SearchResult, job: Job) -> None:
    """Print the end of a search: leaders, where the tables are, what to type next."""
    show_status(ended.folder, RESULT_LEADERS)
    if ended.stop_reason:
        print(f"ended because the {ended.stop_reason}")
    print(f"tables     trials, epochs and proposals in {ended.folder.root} (Parquet)")
    if job.tracking.enabled:
        print(f"mlflow     {_mlflow(ended.folder.tracking(job).uri)}")
    print(f"next       {_next_step(ended.folder, job)}")


def _next_step(folder: RunFolder, job: Job) -> str:
    _, epochs, trials = read_tables(folder.root)
    if rank_trials(trials, epochs, job.search.optimized.main).empty:
        return f"no trial can be retrained: the column `reason` of {short_path(folder.path(TRIALS))} says why"
    return f"toprung retrain {quote(short_path(folder.root))}"


def _mlflow(uri: str) -> str:
    """The address of a server, or the command that serves a local store."""
    return uri if uri.startswith(("http://", "https://")) else f"mlflow ui --backend-store-uri {quote(uri)}"


def show_status(folder: RunFolder, top: int) -> None:
    """Print progress and leaders, from the tables alone."""
    job = folder.job()
    proposals, epochs, trials = read_tables(folder.root)
    now = progress(proposals, epochs, trials, job.search.optimized.main)
    trials_in_all = max(job.search.trials, now.proposed)  # a continued run may ask for fewer than it has
    line = f"{now.ended} of {trials_in_all} trials ended: {now.completed} completed, {now.stopped} stopped"
    rate = f", {per_time(now.epochs_per_sec)}" if now.running and now.epochs_per_sec else ""
    preemptions = int(trials["preemptions"].sum()) if "preemptions" in trials else 0
    preempted = f", {preemptions_in_words(preemptions)}" if preemptions else ""
    print(
        f"{job.name}: {line}, {now.failed} failed{preempted}; {now.running} not ended; {now.epochs} epochs{rate}"
    )
    board = leaderboard(proposals, epochs, trials, job.search.optimized, top)
    if len(board):
        write(board, "rich")
    _show_failures(trials)


def show_table(
    folder: RunFolder, top: int | None, layout: Format, epochs_wanted: bool, pareto: bool = False
) -> None:
    """Print the trials, best first, or every epoch, as a table or in a format for programs.

    With `pareto` only the trials that no other beats in every objective. Raises `InputError` where the job has a
    single objective.
    """
    job = folder.job()
    if pareto and not job.search.optimized.secondary:
        raise InputError.single(
            "--pareto", f"{job.name} has one objective", "search.objectives names several"
        )
    proposals, epochs, trials = read_tables(folder.root)
    board = leaderboard(proposals, epochs, trials, job.search.optimized)
    hidden = [OVERFLOW, RUN] if layout == "rich" else [OVERFLOW]
    frame = epochs.sort_values("arrival_index").drop(columns=hidden) if epochs_wanted else board
    if pareto:
        frame = frame[frame["trial_id"].isin(board.loc[board["pareto"], "trial_id"])]
    write(frame.head(top or len(frame)), layout)
    if layout == "rich":
        _show_failures(trials)


def _show_failures(trials: pd.DataFrame) -> None:
    if failures := failure_summary(trials):
        print(f"failed     {failures}")


def show_retrained(retrained: Retrained) -> None:
    """Print the report of a retrained winner."""
    report, folder = retrained.report, retrained.folder
    if not retrained.is_new:
        again = f"remove {short_path(folder.path(REPORT_FILE))} to train it again"
        print(f"{report['trial_id']} was retrained already ({again})")
    if report["test_accuracy"] is None:
        print("nothing was tested: the job has no test images (data.splits.test is 0)")
    else:
        read = f"{report['test_images']} images, read at {report['test_reads'][-1]}"
        print(f"test accuracy {report['test_accuracy']:.4f} ({read})")
        per_class = report["test_accuracy_per_class"]
        measured = {name: value for name, value in per_class.items() if value is not None}
        worst = sorted(measured.items(), key=lambda item: item[1])[:3]
        print("weakest classes " + ", ".join(f"{name} {accuracy:.3f}" for name, accuracy in worst))
        if len(measured) < len(per_class):
            print(f"without a test image: {', '.join(sorted(per_class.keys() - measured.keys()))}")
    if len(report["test_reads"]) > 1:
        print(f"note: the test set was read {len(report['test_reads'])} times for this run")
    print(f"model      {folder.path(MODEL_FILE)} (takes raw uint8 images)")
    print(f"report     {folder.path(REPORT_FILE)}")


def short_path(root: str) -> str:
    """The root relative to the working folder where it is inside of it."""
    return root.removeprefix(f"{Path.cwd()}/")
