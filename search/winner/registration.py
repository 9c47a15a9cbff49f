"""The retrained model in MLflow's model registry, under the alias that was decided for it."""

from __future__ import annotations

import logging
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from toprung.search.driver.progress_display import PROGRESS_LOG
from toprung.search.retrained.champion import FORMER
from toprung.search.retrained.kept_models import CARD, MODEL, REPORT

if TYPE_CHECKING:
    from toprung.search.jobs.schema import Job
    from toprung.search.retrained.champion import Decision
    from toprung.search.retrained.json_files import Report
    from toprung.search.retrained.kept_models import KeptModel
    from toprung.search.runs.run_folder import RunFolder

_log, _progress_log = logging.getLogger("toprung"), logging.getLogger(PROGRESS_LOG)


def register(job: Job, folder: RunFolder, model: KeptModel, decision: Decision) -> None:
    """Log a model with its report and card to MLflow and point the alias that was decided at it.

    Nothing is done where tracking is off, where MLflow has the model under that alias, or where another model has taken
    its place. The report then holds the address of the version, which stays that of this model. Where MLflow fails, a
    warning is logged and the files stay as they are.

    Args:
        job: The run's job.
        folder: The run.
        model: The model; its report is changed and saved when it is registered.
        decision: Whether it is the champion.
    """
    report = model.report
    name = job.retrain.registered_name or job.name
    if not job.tracking.enabled or decision.alias == FORMER or _is_registered(report, name, decision):
        return
    from toprung.results.tracking.catch_up import catch_up
    from toprung.results.tracking.mlflow.model_registry import RetrainedModel, register_model

    names = ("test_accuracy", "test_loss")
    metrics = {name: report[name] for name in names if report[name] is not None}
    try:
        catch_up(folder.tracking(job), folder.root)
        with tempfile.TemporaryDirectory(prefix="toprung-") as scratch:
            present = [file for file in (MODEL, REPORT, CARD) if model.folder.exists(file)]
            files = [_copy(model, file, Path(scratch)) for file in present]
            retrained = RetrainedModel(
                files[0],
                report["trial_id"],
                report["config"],
                metrics,
                _tags(model, decision),
                files[1:],
            )
            known_as = report["registered"]
            registered = register_model(folder.tracking(job), name, decision.alias, retrained, known_as)
    except Exception as error:  # whatever MLflow raises: the model is saved, only its registration is missing
        _log.warning(
            "MLflow did not take the model (%s: %s); the same command tries again",
            type(error).__name__,
            error,
        )
        return
    report |= {
        "registered": registered.version_uri,
        "registered_as": registered.alias,
        "registered_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    model.save_report()
    _progress_log.info(
        "registered %s version %s as %s (%s)",
        registered.name,
        registered.version,
        registered.alias,
        registered.alias_uri,
    )


def _is_registered(report: Report, name: str, decision: Decision) -> bool:
    """Whether MLflow has heard of the decision.

    Reports of the earliest versions do not say it, and their models may well be registered; later ones name the alias
    in place of the version.
    """
    if "registered" not in report:
        return True
    told = str(report["registered"])
    is_of_name = (
        told.rpartition("/")[0] == f"models:/{name}" and report.get("registered_as") == decision.alias
    )
    is_known = is_of_name or told == f"models:/{name}@{decision.alias}"
    return is_known and report.get("registered_at", decision.decided_at) >= decision.decided_at


def _copy(model: KeptModel, name: str, scratch: Path) -> Path:
    path = scratch / name
    path.write_bytes(model.folder.read(name))
    return path


def _tags(model: KeptModel, decision: Decision) -> dict[str, str]:
    report = model.report
    told = {
        "run": report.get("run"),
        "trial": report["trial_id"],
        "model": model.name,
        "data_fingerprint": report.get("data_fingerprint"),
        "training_fingerprint": report.get("training_fingerprint"),
        "toprung_version": report.get("toprung_version"),
        "code": (report.get("code") or {}).get("version"),
        "why": decision.why,
    }
    return {f"toprung.{key}": str(value) for key, value in told.items() if value is not None}
