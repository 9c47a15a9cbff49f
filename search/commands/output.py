"""What the commands print at the end of a search and of a retraining."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from toprung.search.commands.output_path import short_path
from toprung.search.commands.run_views import next_step, view_of
from toprung.search.commands.status import show_status
from toprung.search.winner.model_file import MODEL_FILE
from toprung.search.winner.report import REPORT_FILE

if TYPE_CHECKING:
    from toprung.search.driver.run_search import SearchResult
    from toprung.search.jobs.schema import Job
    from toprung.search.winner.retrain import Retrained

RESULT_LEADERS = 5


def show_result(ended: SearchResult, job: Job) -> None:
    """Print the end of a search: leaders, where the tables are, what to type next."""
    show_status(ended.folder, RESULT_LEADERS)
    if ended.stop_reason:
        print(f"ended because the {ended.stop_reason}")
    print(f"tables     space, proposals, epochs, rungs and trials in {ended.folder.root} (Parquet)")
    if job.tracking.enabled:
        print(f"mlflow     {_mlflow(ended.folder.tracking(job).uri)}")
    print(f"next       {next_step(ended.folder, view_of(ended.folder))}")


def _mlflow(uri: str) -> str:
    """The address of a server, or the command that serves a local store."""
    return uri if uri.startswith(("http://", "https://")) else f"mlflow ui --backend-store-uri {quote(uri)}"


def show_retrained(retrained: Retrained) -> None:
    """Print the report of a retrained winner."""
    report, folder = retrained.report, retrained.folder
    if not retrained.is_new:
        again = f"remove {short_path(folder.path(REPORT_FILE))} to train it again"
        print(f"{report['trial_id']} was retrained already ({again})")
    read = f"{report['test_images']} images, read at {report['test_reads'][-1]}"
    print(f"test accuracy {report['test_accuracy']:.4f} ({read})")
    worst = sorted(report["test_accuracy_per_class"].items(), key=lambda item: item[1])[:3]
    print("weakest classes " + ", ".join(f"{name} {accuracy:.3f}" for name, accuracy in worst))
    if len(report["test_reads"]) > 1:
        print(f"note: the test set was read {len(report['test_reads'])} times for this run")
    print(f"model      {folder.path(MODEL_FILE)} (takes raw uint8 images)")
    print(f"report     {folder.path(REPORT_FILE)}")
