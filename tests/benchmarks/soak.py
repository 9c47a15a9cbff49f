"""A search of thousands of cheap trials on several machines, with a fault every few seconds, and what it cost.

    python tests/benchmarks/soak.py --trials 3000 --nodes 3 --fault-every 6
    python tests/benchmarks/soak.py --trials 200 --only "network cut for good" "driver's machine lost"

The machines are Linux namespaces with addresses and processes of their own (root only), the head has no cores.
Faults: a worker killed, a worker stopped, a raylet killed (its node joins again), a machine frozen for up to 10 s,
its network cut for up to 20 s; now and then a machine lost or cut off for good (another joins); the driver killed or,
now and then, lost with its machine (the same command goes on); the MLflow server killed, or stopped for 12 s; the
disk full for some seconds. Ray finds a lost machine in 25 s in place of 65, a driver the run of a lost one free in 15
s in place of 60, or the machines would be missing more often than they are there. Trials sleep instead of training;
dispatcher, checkpoints, tables and MLflow are the real ones. With `--folder` a soak that was interrupted goes on
there.
"""

from __future__ import annotations

import argparse
import json
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from soak_cluster import DATABASE, DRIVER, PORT, WORKER, Cluster, Driver, cluster, hosts
from soak_faults import Faults

LIMIT_SECS = 15
JOB = """
name: soak
data: digits
space: {{fixed: {{blocks: 1, convs_per_block: 1, kernel_size: 3, batch_norm: true}}}}
search: {{trials: {trials}, max_epochs: 27, sampler: random}}
resources: {{cpus: 1, concurrent: {workers}, gpus: 0, max_epoch_hours: {limit}}}
storage: {{path: "{runs}", checkpoint_secs: 1}}
tracking: {{uri: "http://{head}:{port}"}}
"""


@dataclass
class Figures:
    """What was counted, in this soak and in those that it goes on from."""

    secs: float = 0.0
    commands: int = 0
    survived: Counter[str] = field(default_factory=Counter)
    preempted: int = 0
    left: int = 0
    memory: dict[str, int] = field(default_factory=dict)
    tracebacks: int = 0

    @classmethod
    def read(cls, folder: Path | None) -> Self:
        """Those of an earlier soak in the folder, if there are any."""
        if folder is None or not (folder / "figures.json").exists():
            return cls()
        content = json.loads((folder / "figures.json").read_text())
        return cls(**{**content, "survived": Counter(content["survived"])})

    def write(self, folder: Path | None) -> None:
        """Keep them for the next soak."""
        if folder:
            (folder / "figures.json").write_text(json.dumps({**vars(self), "survived": dict(self.survived)}))

    def add(self, secs: float, driver: Driver, faults: Faults) -> None:
        """Count what one soak did."""
        self.secs += secs
        self.commands += driver.runs
        self.survived.update(faults.survived)
        self.preempted += faults.preempted
        self.left += faults.left
        self.tracebacks += driver.log.read_text().count("Traceback")
        if driver.rss_bytes:
            self.memory["the end"] = driver.rss_bytes


def soak(options: argparse.Namespace) -> None:
    folder, figures = options.folder, Figures.read(options.folder)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    with cluster(options.nodes, options.cores, folder) as running:
        job, run = running.folder / "soak.yaml", running.disk / "runs" / "soak"
        job.write_text(JOB.format(trials=options.trials, workers=options.cores * options.nodes, limit=LIMIT_SECS / 3600,
                                  runs=run.parent, head=running.head.address, port=PORT))  # fmt: skip
        began, driver, over = time.monotonic(), Driver(running, job), threading.Event()
        faults = Faults(running, options.seed + figures.commands, options.only)
        thread = threading.Thread(target=faults.run, args=(over, options.fault_every), daemon=True)
        thread.start()
        try:
            follow(options, began, run, driver, figures)
        finally:
            secs = time.monotonic() - began
            over.set()
            thread.join(180)
            driver.interrupt()
            time.sleep(5)
            figures.add(secs, driver, faults)
            figures.write(folder)
            report(options, figures, run, left_over(running))
            if options.log_chars:
                print(f"the driver's log ends with:\n{driver.log.read_text()[-options.log_chars :]}")
            if ended_trials(run) == options.trials:
                print(mlflow_figures(running, job, run, options.trials))


def follow(options: argparse.Namespace, began: float, run: Path, driver: Driver, figures: Figures) -> None:
    """Keep the search going until it is over, or the time is."""
    looked_secs = 0.0
    while not driver.finished():
        time.sleep(1)
        if time.monotonic() - looked_secs > 10:
            looked_secs = time.monotonic()
            ended = ended_trials(run)
            if ended >= options.trials / 10 and driver.rss_bytes:
                figures.memory.setdefault("a tenth", driver.rss_bytes)
            print(f"{time.strftime('%H:%M:%S')}  {ended} trials have ended", flush=True)
        if time.monotonic() - began > options.limit_secs:
            print(f"stopped after {options.limit_secs:g} s")
            return


def report(options: argparse.Namespace, figures: Figures, run: Path, left: list[str]) -> None:
    """Print the figures."""
    import pandas as pd

    trials, epochs = (pd.read_parquet(run / name) for name in ("trials", "epochs"))
    outcomes = trials["outcome"].value_counts().to_dict()
    expected = range(options.trials if len(trials) >= options.trials else 0)
    lost = set(expected) - {int(trial_id[1:]) for trial_id in trials["trial_id"]}
    doubled = int(epochs.duplicated(["trial_id", "epoch"]).sum())
    by_trial = epochs.groupby("trial_id")["epoch"]
    gaps = int((by_trial.max() != by_trial.nunique()).sum())
    pauses = trials["ended_at"].sort_values().diff().dt.total_seconds()
    memory = ", ".join(f"{size / 2**20:.0f} MB at {when}" for when, size in figures.memory.items())
    lines = [
        f"{len(trials)} of {options.trials} trials, {len(epochs)} epochs in {figures.secs:.0f} s",
        f"outcomes: {outcomes}",
        f"faults survived: {figures.survived.total()}; {dict(sorted(figures.survived.items()))}",
        f"the command was given {figures.commands} times; tracebacks in its log: {figures.tracebacks}",
        f"trials lost: {len(lost)}; rows doubled: {int(trials['trial_id'].duplicated().sum())}",
        f"epochs doubled: {doubled}; trials with a missing epoch: {gaps}",
        f"preemptions counted: {int(trials['preemptions'].sum())}, for {figures.preempted} workers of dead machines",
        f"longest wait of a trial for a worker: {trials['wait_secs'].max():.1f} s",
        f"longest time in which no trial ended: {pauses.max():.1f} s",
        f"driver memory: {memory}",
        f"processes left: {len(left)} {left}; on machines cut off or without their driver: {figures.left}",
    ]
    print("\n".join(lines), flush=True)


def left_over(running: Cluster) -> list[str]:
    return [f"{host.name}: {' '.join(process.cmdline())[:80]}" for host in running.switch.hosts
            for name in (WORKER, DRIVER) for process in host.processes(name)]  # fmt: skip


def ended_trials(run: Path) -> int:
    import pandas as pd

    try:
        return len(pd.read_parquet(run / "trials", columns=["trial_id"]))
    except (OSError, ValueError):
        return 0


def mlflow_figures(running: Cluster, job: Path, run: Path, trials: int) -> str:
    """What MLflow has of the trials once `toprung sync` has run."""
    if not running.head.processes("mlflow"):
        running.start_mlflow()
    time.sleep(15)
    synced = running.desk.run([sys.executable, "-P", "-m", "toprung.search", "sync", str(run)], running.env)
    with sqlite3.connect(running.folder / DATABASE) as database:
        rows = database.execute("SELECT name, status FROM runs WHERE name LIKE 't0%'").fetchall()
    finished = Counter(status for _, status in rows)
    said = (synced.stdout + synced.stderr).strip()
    return f"MLflow has {len({name for name, _ in rows})} of {trials} trials, {dict(finished)}; toprung sync: {said}"


def drive(job: str, address: str) -> int:
    """`toprung search JOB --address ADDRESS` with trials that sleep."""
    from idle_trial import SleepingTrial

    from toprung.results.tables import run_lock
    from toprung.search.cli import main
    from toprung.trainables.worker import ray_trainable

    ray_trainable.KerasTrial = SleepingTrial  # type: ignore[misc]
    run_lock.LEASE_SECS = 15.0
    return int(main(["search", job, "--address", address]) or 0)


def options_of(arguments: list[str] | None = None) -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=3000)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2, help="workers on each node")
    parser.add_argument("--fault-every", type=float, default=6, metavar="SECS")
    parser.add_argument("--limit-secs", type=float, default=3600)
    parser.add_argument("--only", nargs="*", default=[], metavar="KIND", help="faults of these kinds alone")
    parser.add_argument("--folder", type=Path, help="keep the run and the figures here, and go on from there")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log-chars", type=int, default=0, help="print the end of the driver's log")
    parser.add_argument("--drive", help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main() -> None:
    options = options_of()
    if options.drive:
        raise SystemExit(drive(options.drive, options.address))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the hosts are closed then too
    if reason := hosts.why_no_hosts():
        raise SystemExit(f"no hosts here: {reason}")
    with suppress(KeyboardInterrupt):
        soak(options)


if __name__ == "__main__":
    main()
