"""What the commands print about retrained models: a new one's test in short, all of them as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from toprung.results.analysis.render import Format, write
from toprung.search.retrained.champion import CHALLENGER, CHAMPION, FORMER, champion, decisions
from toprung.search.retrained.kept_models import CARD, MODEL, kept_models

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from toprung.search.retrained.kept_models import KeptModel
    from toprung.search.runs.run_folder import RunFolder
    from toprung.search.winner.retrain import Retrained

WORST_CLASSES, CONFUSIONS = 3, 3
SHOWN = (
    "model",
    "alias",
    "epochs",
    "test_accuracy",
    "low",
    "high",
    "calibration_error",
    "temperature",
    "why",
)
"""The columns for people; the formats for programs have all of them."""


def show_retrained(retrained: Retrained) -> None:
    """Print what a retrained winner scores, what it became, and where it is."""
    model, report, decision = retrained.model, retrained.report, retrained.decision
    if not retrained.is_new:
        print(f"{report['trial_id']} was retrained already: {model.name}")
    for line in _test_lines(report):
        print(line)
    print(f"{decision.alias:10} {model.name}: {decision.why}")
    if decision.alias != CHAMPION:
        print("           it stays beside the champion; --promote makes it the champion all the same")
    print(f"model      {model.folder.path(MODEL)}")
    print(f"card       {model.folder.path(CARD)}, with report, predictions, curve and pictures beside it")


def _test_lines(report: Mapping[str, Any]) -> Iterator[str]:
    if report["test_accuracy"] is None:
        yield "nothing was tested: the job has no test images (data.splits.test is 0)"
        return
    read = f"{_images(report['test_images'])}, read at {report['test_reads'][-1]}"
    evaluation = report.get("evaluation")
    if evaluation is None:
        yield f"test accuracy {report['test_accuracy']:.4f} ({read})"
        return
    accuracy = evaluation["accuracy"]
    interval = f"95% interval {accuracy['low']:.4f} to {accuracy['high']:.4f}"
    yield f"test accuracy {accuracy['value']:.4f} ({interval}; {read})"
    yield (
        f"macro F1 {evaluation['macro']['f1']:.4f}, balanced accuracy {evaluation['balanced_accuracy']:.4f}, "
        f"AUC {evaluation['auc']:.4f}; always the most frequent label: {evaluation['constant_accuracy']:.4f}"
    )
    yield _calibration_line(evaluation["calibration"])
    known = [each for each in evaluation["classes"] if each["support"]]
    weakest = sorted(known, key=lambda each: (each["f1"] is not None, each["f1"] or 0.0))
    told = (
        f"{each['name']} {_number(each['f1'])} ({_images(each['support'])})"
        for each in weakest[:WORST_CLASSES]
    )
    yield f"weakest classes by F1: {', '.join(told)}"
    if unseen := [each["name"] for each in evaluation["classes"] if not each["support"]]:
        yield f"without a test image: {', '.join(unseen)}"
    if confusions := evaluation["confusions"][:CONFUSIONS]:
        told = (f"{each['label']} as {each['predicted']} ({each['count']})" for each in confusions)
        yield f"most frequent mistakes: {', '.join(told)}"
    if len(report["test_reads"]) > 1:
        yield f"note: the test set was read {len(report['test_reads'])} times for this run"


def _calibration_line(calibration: Mapping[str, Any]) -> str:
    before, after = calibration["before"], calibration["after"]
    now = f"log-likelihood loss {after['loss']:.4f}, calibration error {after['calibration_error']:.4f}"
    if not calibration["fitted_on_images"]:
        return f"{now} (not calibrated)"
    was = f"before: {before['loss']:.4f}, {before['calibration_error']:.4f}"
    return f"{now} ({was}; temperature {calibration['temperature']:.2f})"


def show_models(folder: RunFolder, top: int | None, layout: Format) -> None:
    """Print the retrained models of a run, newest first."""
    folder.job()
    table = models_table(folder)
    if table.empty and layout == "rich":
        print(f"{folder.root} has no retrained model yet: toprung retrain {folder.root}")
        return
    shown = table[list(SHOWN)] if layout == "rich" else table
    write(shown.head(top or len(table)), layout)


def models_table(folder: RunFolder) -> pd.DataFrame:
    """One row for each retrained model: what it scores, what it became and why, how it was made; newest first."""
    latest = {decision.model: decision for decision in decisions(folder)}
    current = champion(folder)
    rows = []
    for model in kept_models(folder):
        decision = latest.get(model.name)
        is_champion = current is not None and current.name == model.name
        was = CHALLENGER if decision is None or decision.alias != CHAMPION else FORMER
        told = {
            "alias": CHAMPION if is_champion else was,
            "promoted": bool(decision and decision.promoted),
            "why": decision.why if decision else "",
        }
        rows.append({**_row(model), **told})
    columns = [*_row(None), "alias", "promoted", "why"]
    return pd.DataFrame(rows, columns=columns).sort_values("trained_at", ascending=False, kind="stable")


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def _row(model: KeptModel | None) -> dict[str, Any]:
    report = model.report if model else {}
    evaluation = report.get("evaluation") or {}
    calibration = evaluation.get("calibration") or {}
    return {
        "model": model.name if model else None,
        "trial_id": report.get("trial_id"),
        "seed": report.get("seed"),
        "epochs": report.get("epochs"),
        "test_accuracy": report.get("test_accuracy"),
        "low": evaluation.get("accuracy", {}).get("low"),
        "high": evaluation.get("accuracy", {}).get("high"),
        "test_loss": report.get("test_loss"),
        "calibration_error": calibration.get("after", {}).get("calibration_error"),
        "temperature": calibration.get("temperature"),
        "registered": report.get("registered"),
        "trained_at": report.get("trained_at"),
    }


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
