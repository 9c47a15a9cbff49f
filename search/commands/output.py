"""What the commands print at the end of a search and of a retraining."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from toprung.results.analysis.image_noise import doubt_of_lead
from toprung.results.analysis.winner import pick_winner, rank_trials
from toprung.search.commands.run_views import next_step, view_of
from toprung.search.commands.status import show_status

if TYPE_CHECKING:
    from toprung.results.report.run_view import RunView
    from toprung.search.driver.run_search import SearchResult
    from toprung.search.jobs.schema import Job

RESULT_LEADERS = 5


def show_result(ended: SearchResult, job: Job) -> None:
    """Print the end of a search: leaders, where the tables are, what to type next."""
    show_status(ended.folder, RESULT_LEADERS)
    if ended.stop_reason:
        print(f"ended because the {ended.stop_reason}")
    print(f"tables     space, proposals, epochs, rungs and trials in {ended.folder.root} (Parquet)")
    if job.tracking.enabled:
        print(f"mlflow     {_mlflow(ended.folder.tracking(job).uri)}")
    view = view_of(ended.folder)
    if doubt := _doubt(view, ended.val_images):
        print(f"note       {doubt}")
    print(f"next       {next_step(ended.folder, view)}")


def _doubt(view: RunView, val_images: int) -> str | None:
    """What to tell of a lead that is no more than noise."""
    objective = view.job.objectives.main
    if rank_trials(view.trials, view.epochs, objective).empty:
        return None
    return doubt_of_lead(pick_winner(view.trials, view.epochs, objective), val_images)


def _mlflow(uri: str) -> str:
    """The address of a server, or the command that serves a local store."""
    return uri if uri.startswith(("http://", "https://")) else f"mlflow ui --backend-store-uri {quote(uri)}"
