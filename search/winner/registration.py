"""The retrained model in MLflow's model registry."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from toprung.search.driver.progress_display import PROGRESS_LOG
from toprung.search.winner.model_file import saved_model
from toprung.search.winner.report import put_report

if TYPE_CHECKING:
    from toprung.search.jobs.schema import Job
    from toprung.search.runs.run_folder import RunFolder
    from toprung.search.winner.report import Report

_log, _progress_log = logging.getLogger("toprung"), logging.getLogger(PROGRESS_LOG)


def register(job: Job, folder: RunFolder, report: Report) -> None:
    """Log the report and the saved model to MLflow and point the alias `champion` at the model.

    Nothing is done where tracking is off. The report then holds the model's address. Where MLflow fails, a warning is
    logged and the files stay as they are.

    Args:
        job: The run's job.
        folder: The run.
        report: The report of the retraining; changed in place and saved when the model is registered.
    """
    if not job.tracking.enabled:
        return
    from toprung.results.tracking.catch_up import catch_up
    from toprung.results.tracking.model_registry import RetrainedModel, register_model

    names = ("test_accuracy", "test_loss")
    metrics = {name: report[name] for name in names if report[name] is not None}
    try:
        catch_up(folder.tracking(job), folder.root)
        retrained = RetrainedModel(saved_model(folder), report["trial_id"], report["config"], metrics)
        registered = register_model(folder.tracking(job), job.retrain.registered_name or job.name, retrained)
    except Exception as error:  # whatever MLflow raises: the model is saved, only its registration is missing
        _log.warning(
            "MLflow did not take the model (%s: %s); the same command tries again",
            type(error).__name__,
            error,
        )
        return
    report["registered"] = registered.uri
    put_report(folder, report)
    _progress_log.info(
        "registered %s version %s as %s (%s)",
        registered.name,
        registered.version,
        registered.alias,
        registered.uri,
    )
