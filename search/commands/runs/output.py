"""What the commands print at the end of a search and of a retraining."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from toprung.results.analysis.image_noise import doubt_of_lead
from toprung.results.analysis.winner import pick_winner, rank_trials
from toprung.search.commands.output_path import short_path
from toprung.search.commands.runs.run_views import next_step, view_of
from toprung.search.commands.runs.status import show_status
from toprung.search.preparation.retrain_hours import retrain_hours

if TYPE_CHECKING:
    from toprung.results.report.charts.run_view import RunView
    from toprung.results.tracking.tracking_settings import Tracking
    from toprung.search.driver.run_search import SearchResult
    from toprung.search.jobs.schema import Job

RESULT_LEADERS = 5


def show_result(ended: SearchResult, job: Job) -> None:
    """Print the end of a search: leaders, where the tables are, what to type next."""
    show_status(ended.folder, RESULT_LEADERS)
    if ended.stop_reason:
        print(f"ended because the {ended.stop_reason}")
    print(f"tables     space, proposals, epochs, rungs and trials in {ended.folder.root} (Parquet)")
    for tracking in ended.folder.trackings(job):
        print(f"{tracking.tracker:10} {_how_to_open(tracking)}")
    view = view_of(ended.folder)
    if doubt := _doubt(view, ended.val_images):
        print(f"note       {doubt}")
    print(f"next       {next_step(ended.folder, view)}")
    if hours := _longer_hours(view, job):
        print(
            f"           with --set retrain.hours={float(f'{hours:.2g}'):g} it trains for as many epochs as fit"
        )


def _longer_hours(view: RunView, job: Job) -> float | None:
    """Hours that the winner is worth beyond the epochs of its trial; None where the job settles it, or no trial won.

    A search whose epochs follow from its hours trains many configurations for a short time.
    """
    given = job.search.budgets.wall_clock_hours
    is_settled = job.retrain.hours is not None or job.retrain.epochs is not None
    if given is None or is_settled or not job.search.leaves_epochs_open:
        return None
    if rank_trials(view.trials, view.epochs, view.job.objectives.main).empty:
        return None
    return retrain_hours(given, job.space.name)


def _doubt(view: RunView, val_images: int) -> str | None:
    """What to tell of a lead that is no more than noise."""
    objective = view.job.objectives.main
    if rank_trials(view.trials, view.epochs, objective).empty:
        return None
    return doubt_of_lead(pick_winner(view.trials, view.epochs, objective), val_images)


def _how_to_open(tracking: Tracking) -> str:
    """The address of a server, or the command that shows what is stored here."""
    if tracking.tracker == "tensorboard":
        return f"tensorboard --logdir {quote(short_path(tracking.uri))}"
    if tracking.tracker == "wandb":
        return (
            f"project {tracking.experiment}, group {tracking.run} at {tracking.uri}, or offline in RUN/wandb"
        )
    is_server = tracking.uri.startswith(("http://", "https://"))
    return tracking.uri if is_server else f"mlflow ui --backend-store-uri {quote(tracking.uri)}"
