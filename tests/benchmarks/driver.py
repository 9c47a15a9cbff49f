"""What the driver can take: many trials at once that cost nothing to train, to its end.

    python tests/benchmarks/driver.py --at-once 64 --trials 10000
    python tests/benchmarks/driver.py --at-once 2 --trials 150 --kinds ray --sleep

`loop` is our driver without Ray: strategy, decisions, tables and MLflow on, results handed in by a for loop. `ray` is a
whole `toprung search` with real actors whose trainer returns at once (checkpoints at rungs included). `stock` is Ray
Tune with its own ASHA, random search and default logging, actors kept, on a class trainable that returns at once. The
same epochs a trial in all of them as far as halving decides alike: random values, rungs at 1, 3, 9, ....
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
FIXED = {"blocks": 1, "convs_per_block": 1, "kernel_size": 3, "batch_norm": True}


def job_of(options: argparse.Namespace, folder: str) -> Any:
    """A job on the bundled digits, tables and MLflow on."""
    from toprung.search.jobs.schema import Job

    content = {
        "name": "driver",
        "data": {"source": "digits"},
        "space": {"fixed": FIXED},
        "search": {"trials": options.trials, "max_epochs": options.max_epochs, "sampler": options.sampler},
        "resources": {
            "cpus": (os.cpu_count() or 1) / options.at_once,
            "gpus": 0,
            "concurrent": options.at_once,
        },
        "storage": {"path": folder},
        "tracking": {"enabled": not options.no_mlflow},
    }
    return Job(**content)


def run_loop(options: argparse.Namespace, folder: str) -> int:
    """Our driver alone; returns the number of reports."""
    from toprung.search.driver import run_search
    from toprung.search.workers import allocation

    reports = 0

    def drive(loop: Any, workers: Any, name: str) -> None:
        nonlocal reports
        began = time.perf_counter()
        reports = drive_loop(loop, options.at_once)
        secs = time.perf_counter() - began
        print(f"    while trials ran: {reports / secs:.0f} reports/s, {1e3 * secs / options.trials:.2f} ms a trial; "
              "the rest is writing what MLflow has not taken yet", flush=True)  # fmt: skip

    run_search.run_workers = drive  # type: ignore[assignment]
    allocation.connected = no_cluster(options.at_once)  # type: ignore[assignment]
    run_search.run_search(job_of(options, folder), live=False)
    return reports


def no_cluster(at_once: int) -> Any:
    from contextlib import contextmanager

    from toprung.cluster.session import Capacity

    @contextmanager
    def connected(address: Any, resources: Any) -> Any:
        yield Capacity(at_once, True)

    return connected


def drive_loop(loop: Any, at_once: int) -> int:
    """Take the running trials in turns, an epoch each."""
    from toprung.search.strategy.strategy import Decision
    from toprung.trainables.trial.messages import EpochResult
    from toprung.trainables.trial.report import EpochReport

    running: deque[tuple[Any, int]] = deque()
    reports = 0
    while True:
        while len(running) < at_once and (start := loop.next_trial()) is not None:
            running.append((start, 1))
        if not running:
            return reports
        start, epoch = running.popleft()
        report = EpochReport(start.trial_id, epoch, noise(start.seed, epoch), 1e-4, 1e-4 * epoch)
        reports += 1
        if loop.report(start.trial_id, EpochResult(report)) is Decision.KEEP:
            running.append((start, epoch + 1))


def noise(seed: int, epoch: int) -> dict[str, float]:
    """Metrics of an epoch that was not trained."""
    value = random.Random(seed * 1000 + epoch).random()
    names = ("val_loss", "train_accuracy", "train_loss", "learning_rate", "images_per_sec")
    return {"val_accuracy": value, **dict.fromkeys(names, value)}


def run_ray(options: argparse.Namespace, folder: str) -> int:
    """A whole search with actors that train nothing."""
    from idle_trial import IdleTrial, SleepingTrial

    from toprung.search.driver import run_search
    from toprung.trainables.worker import ray_trainable

    ray_trainable.KerasTrial = SleepingTrial if options.sleep else IdleTrial  # type: ignore[misc]
    tune, ran = run_search.run_workers, [0.0]

    def timed(*arguments: Any) -> None:
        began = time.perf_counter()
        tune(*arguments)
        ran[0] = time.perf_counter() - began

    run_search.run_workers = timed  # type: ignore[assignment]
    run_search.run_search(job_of(options, folder), live=False)
    reports = epochs_in(folder)
    print(
        f"    while trials ran: {reports / ran[0]:.0f} reports/s, {1e3 * ran[0] / options.trials:.1f} ms a trial"
    )
    return reports


def epochs_in(folder: str) -> int:
    import pandas as pd

    trials = pd.read_parquet(f"{folder}/driver/trials")
    waited = trials["idle_secs"].sum() / len(trials)
    print(f"    a worker waited {1e3 * waited:.1f} ms a trial", flush=True)
    return len(pd.read_parquet(f"{folder}/driver/epochs"))


def run_stock(options: argparse.Namespace, folder: str) -> int:
    """Ray Tune as it comes."""
    import ray
    from idle_trial import StockTrial
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # verbose=0 is only heeded without it
    ray.init(address="local", num_cpus=os.cpu_count(), include_dashboard=False, log_to_driver=False)
    cpus = (os.cpu_count() or 1) / options.at_once
    scheduler = ASHAScheduler(max_t=options.max_epochs, grace_period=1, reduction_factor=3)
    tuner = tune.Tuner(
        tune.with_resources(StockTrial, {"cpu": cpus}),
        param_space={"seed": tune.randint(0, 2**31)},
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            scheduler=scheduler,
            num_samples=options.trials,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=folder, verbose=0),
    )
    began = time.perf_counter()
    results = tuner.fit()
    secs = time.perf_counter() - began
    print(f"    while trials ran: {1e3 * secs / options.trials:.1f} ms a trial", flush=True)
    return int(results.get_dataframe()["training_iteration"].sum())


def run_here(kind: str, options: argparse.Namespace) -> None:
    """The body of a kind's process: prints its row."""
    runs = {"loop": run_loop, "ray": run_ray, "stock": run_stock}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        began = time.perf_counter()
        reports = runs[kind](options, folder)
        secs = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_secs, rss = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    print(f"  {kind:6} {options.trials} trials, {reports} reports in {secs:.1f} s: {reports / secs:.0f} reports/s, "
          f"{1e3 * secs / options.trials:.2f} ms a trial; driver {cpu_secs:.1f} s of CPU, at most {rss:.0f} MB",
          flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--max-epochs", type=int, default=27)
    parser.add_argument("--sampler", default="random", help="tpe shows what the default sampler adds")
    parser.add_argument("--sleep", action="store_true", help="epochs take 0.2 s in which no core is busy")
    parser.add_argument("--no-mlflow", action="store_true")
    parser.add_argument("--kinds", nargs="*", default=["loop", "ray", "stock"])
    parser.add_argument("--here", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        run_here(options.here, options)
        return
    for kind in options.kinds:
        env = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "fakes")}
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--here", kind], env=env, check=True)


if __name__ == "__main__":
    main()
