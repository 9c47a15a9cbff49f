"""What one temperature is worth: test loss and calibration error before and after it, over data sets and seeds.

    python tests/benchmarks/calibration.py --seeds 5 --flowers FOLDER --cifar10 FOLDER [--only NAME...]

A fixed network is retrained as `toprung retrain` does it: once on train alone, where the validation images give the
temperature, then on train + validation; the test images are scored with and without it. The labels of the last two rows
are made of digits: one of two classes, and three labels an image. Means over the seeds; the changes are paired, with
their standard error.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from toprung.results.analysis.winner import Winner  # noqa: E402
from toprung.search.retrained.kept_models import ModelFolder  # noqa: E402
from toprung.search.runs.run_folder import RunFolder  # noqa: E402
from toprung.search.winner.train_and_test import train_and_test  # noqa: E402
from toprung.search.winner.winner_training import WinnerTraining  # noqa: E402
from toprung.spaces.user_code.source_files import pack_source  # noqa: E402
from toprung.trainables.data.dataset import DataSpec, load  # noqa: E402
from toprung.trainables.trial.report import Outcome  # noqa: E402
from toprung.trainables.worker.plan import Rules, TrialPlan  # noqa: E402
from toprung.trainables.worker.retraining import RetrainPlan  # noqa: E402

NETWORK: dict[str, Any] = {
    "convs_per_block": 1, "filters": 16, "kernel_size": 3, "dense_units": 64, "head": "flatten", "batch_norm": True,
    "pooling": "max", "filter_growth": 2.0, "batch_size": 32, "optimizer": "adamw", "learning_rate": 0.001,
}  # fmt: skip


ROWS = ("digits", "digits, smoothed", "flowers", "cifar10", "binary", "multilabel")


def main() -> None:
    """Train, print."""
    options = _arguments()
    print(
        "data                  temperature  accuracy      loss: before, after, change        error: before, after"
    )
    with tempfile.TemporaryDirectory(prefix="toprung-") as home:
        tasks = _tasks(options, Path(home))
        for name in options.only or tasks:
            spec, epochs, config = tasks[name]
            reports = [
                _report(Path(home, name, str(seed)), spec, seed, epochs, config)
                for seed in range(options.seeds)
            ]
            print(_row(name, reports), flush=True)


def _tasks(options: argparse.Namespace, home: Path) -> dict[str, tuple[DataSpec, int, dict[str, Any]]]:
    small, smooth = {**NETWORK, "blocks": 1}, {"label_smoothing": 0.13}
    digits = DataSpec(source="digits", image_size=8)
    tasks: dict[str, tuple[DataSpec, int, dict[str, Any]]] = {
        "digits": (digits, 9, small),
        "digits, smoothed": (digits, 9, small | smooth),
    }
    if options.flowers:
        flowers = DataSpec(source="folder", path=options.flowers, image_size=64)
        tasks["flowers"] = (flowers, 15, {**NETWORK, "blocks": 3})
    if options.cifar10:
        cifar = DataSpec(source="parquet", path=options.cifar10, max_train_images=4000)
        tasks["cifar10"] = (cifar, 8, {**NETWORK, "blocks": 2})
    tasks["binary"] = (DataSpec(source="npz", path=_labelled(home, 1), task="binary"), 9, small | smooth)
    tasks["multilabel"] = (DataSpec(source="npz", path=_labelled(home, 3)), 9, small | smooth)
    return tasks


def _labelled(home: Path, labels: int) -> str:
    """Digits by what is true of them: whether they are above four; even, above four, with a loop."""
    from sklearn.datasets import load_digits

    found = load_digits()
    numbers = found.target
    marks = np.stack([numbers % 2 == 0, numbers > 4, np.isin(numbers, [0, 6, 8, 9])], axis=1).astype(int)
    path = home / f"labels{labels}.npz"
    labels_of = marks[:, 1] if labels == 1 else marks
    np.savez(path, images=(found.images * 15.9).astype(np.uint8), labels=labels_of)
    return str(path)


def _report(run: Path, spec: DataSpec, seed: int, epochs: int, config: dict[str, Any]) -> dict[str, Any]:
    rules = Rules(max_epochs=epochs, checkpoint_secs=1e9, data_fingerprint=load(spec).fingerprint)
    code = pack_source(spec.source, "data.source"), pack_source("cnn")
    trial = TrialPlan(spec, *code, str(run / "retrain" / "checkpoints"), rules, cpus=1)
    winner = Winner(
        "t00000", config, seed, "val_accuracy", 0.0, epochs, epochs, epochs, Outcome.COMPLETED, "", None, None
    )
    folder = ModelFolder(RunFolder(str(run)), f"t00000-s{seed}")
    plan = RetrainPlan(trial, config, seed, schedule_epochs=epochs)
    *_, report = train_and_test(WinnerTraining(folder, "calibration", winner, plan))
    assert isinstance(report, dict)
    change = {when: report["evaluation"]["calibration"][when]["loss"] for when in ("before", "after")}
    print(
        f"{run.parent.name}, seed {seed}: accuracy {report['test_accuracy']:.4f}, loss {change}",
        file=sys.stderr,
    )
    return report


def _row(name: str, reports: list[dict[str, Any]]) -> str:
    measured = [report["evaluation"]["calibration"] for report in reports]
    losses = np.array([[each["before"]["loss"], each["after"]["loss"]] for each in measured])
    errors = np.array(
        [[each[when]["calibration_error"] for when in ("before", "after")] for each in measured]
    )
    change = losses[:, 1] - losses[:, 0]
    spread = change.std(ddof=1) / np.sqrt(len(change)) if len(change) > 1 else float("nan")
    temperature = np.mean([each["temperature"] for each in measured])
    accuracy = np.mean([report["test_accuracy"] for report in reports])
    before, after = losses.mean(axis=0)
    was, now = errors.mean(axis=0)
    return (
        f"{name:20} {temperature:12.2f} {accuracy:9.3f}      {before:.4f}  {after:.4f}  {change.mean():+.4f} "
        f"({spread:.4f})        {was:.4f}  {now:.4f}"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--flowers", help="folder of class folders of photographs")
    parser.add_argument(
        "--cifar10", help="folder of CIFAR-10 as Parquet, of which 4,000 images are trained on"
    )
    parser.add_argument("--only", nargs="+", choices=ROWS, help="these rows alone")
    options = parser.parse_args()
    for name in {"flowers", "cifar10"} & {*(options.only or ())}:
        if not getattr(options, name):
            parser.error(f"--only {name} needs --{name} FOLDER")
    return options


if __name__ == "__main__":
    main()
