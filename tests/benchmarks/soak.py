"""A search of thousands of cheap trials on several nodes, with a fault every few seconds, and what it cost.

    python tests/benchmarks/soak.py --trials 3000 --nodes 3 --fault-every 6

The nodes are Linux namespaces with addresses and processes of their own (root only), the head has no cores. Faults in
turn: a raylet killed (its node joins again), a worker killed, the driver killed (the same command goes on), a worker
stopped, a node cut off the network, the MLflow server killed (it starts again), the disk full for some seconds. Trials
sleep instead of training; dispatcher, checkpoints, tables and MLflow are the real ones.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "cluster")]
import hosts  # noqa: E402

WORKER, DRIVER, RAYLET = ".train", "soak.py --drive", "raylet/raylet"
CORES = 2
PORT = 5055
JOIN_SECS = 60
DISK_BYTES = 400 * 2**20
JOB = """
name: soak
data: digits
space: {{fixed: {{blocks: 1, convs_per_block: 1, kernel_size: 3, batch_norm: true}}}}
search: {{trials: {trials}, max_epochs: 27, sampler: random}}
resources: {{cpus: 1, concurrent: {workers}, gpus: 0, max_epoch_hours: {limit}}}
storage: {{path: "{runs}", checkpoint_secs: 1}}
tracking: {{uri: "http://{head}:{port}"}}
"""


class Cluster:
    """A head, nodes of two cores, an MLflow server on the head, and a disk of their own."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self.folder, self.disk = folder, folder / "disk"
        self.disk.mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(self.disk)], check=True
        )
        (folder / "token").write_text(secrets.token_hex(32))
        clean = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        self.env = {**clean, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
                    "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1",
                    "PYTHONPATH": str(HERE)}  # fmt: skip
        self.switch = hosts.Switch()
        self.head = self.switch.host("head")
        self.join(self.head, "--head", "--num-cpus=0", "--port=6379", "--include-dashboard=false")
        self.nodes = [self.switch.host(f"node{number + 1}") for number in range(nodes)]
        for node in self.nodes:
            self.join(node)
        self.start_mlflow()

    def join(self, host: hosts.Host, *arguments: str) -> None:
        """Start Ray on a host, again where a busy machine was too slow for it."""
        arguments = arguments or (f"--num-cpus={CORES}", f"--address={self.head.address}:6379")
        log = self.folder / f"{host.name}.log"
        for _ in range(5):
            log.unlink(missing_ok=True)
            deadline = time.monotonic() + JOIN_SECS
            started = hosts.ray_start(
                host, self.env, log, f"--temp-dir={self.folder}/{host.name}", *arguments
            )
            while started.poll() is None and time.monotonic() < deadline:
                if "Ray runtime started" in log.read_text():
                    return
                time.sleep(0.2)
            started.kill()
        raise RuntimeError(log.read_text())

    def start_mlflow(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "0.0.0.0", "--port", str(PORT), "--workers", "1",
                   "--allowed-hosts", "*", "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db",
                   "--default-artifact-root", str(self.folder / "artifacts")]  # fmt: skip
        self.head.start(command, self.env, self.folder / "mlflow.log")

    def workers(self) -> list[tuple[hosts.Host, int]]:
        """The training processes and their nodes."""
        return [(node, process.pid) for node in self.nodes for process in node.processes(WORKER)]

    def close(self) -> None:
        self.switch.close()
        subprocess.run(["umount", "-l", str(self.disk)], check=False)


class Driver:
    """The search's command, which is given again whenever it ends before the search does."""

    def __init__(self, cluster: Cluster, job: Path) -> None:
        self._cluster, self._job, self.runs, self.rss_bytes = cluster, job, 0, 0
        self.log = cluster.folder / "driver.log"
        self._start()

    def finished(self) -> bool:
        """Whether the search is over; starts the command again where it was killed or failed."""
        code = self._process.poll()
        if code is None:
            self._measure()
        elif code:
            self._start()
        return code == 0

    def _start(self) -> None:
        self.runs += 1
        address = f"{self._cluster.head.address}:6379"
        command = [sys.executable, str(HERE / "soak.py"), "--drive", str(self._job), "--address", address]
        self._process = self._cluster.head.start(command, self._cluster.env, self.log)

    def _measure(self) -> None:
        for process in self._cluster.head.processes(DRIVER):
            with suppress(OSError, Exception):
                self.rss_bytes = max(process.memory_info().rss, 1)


class Faults:
    """One fault after the other, of each kind in turn, until the search is over."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self._cluster, self._random = cluster, random.Random(seed)
        self.survived: Counter[str] = Counter()
        self.kinds: dict[str, Callable[[], bool]] = {
            "worker killed": self.kill_worker,
            "raylet killed": self.kill_raylet,
            "driver killed": lambda: bool(cluster.head.signal(signal.SIGKILL, DRIVER)),
            "worker stopped": self.stop_worker,
            "network cut": self.cut_network,
            "MLflow killed": self.kill_mlflow,
            "disk full": self.fill_disk,
        }

    def run(self, over: threading.Event, every_secs: float) -> None:
        while not over.is_set():
            for kind in self._random.sample(list(self.kinds), len(self.kinds)):
                if over.wait(every_secs):
                    return
                if self.kinds[kind]():
                    self.survived[kind] += 1
                    print(f"  {kind}", flush=True)

    def kill_worker(self) -> bool:
        return self._signal_worker(signal.SIGKILL)

    def stop_worker(self) -> bool:
        return self._signal_worker(signal.SIGSTOP)

    def kill_raylet(self) -> bool:
        node = self._random.choice(self._cluster.nodes)
        if not node.signal(signal.SIGKILL, RAYLET):
            return False
        time.sleep(2)
        for process in node.processes():  # what is left of the node's Ray, as after a restart of the machine
            with suppress(Exception):
                process.kill()
        self._cluster.join(node)
        return True

    def cut_network(self) -> bool:
        node = self._random.choice(self._cluster.nodes)
        node.cut()
        time.sleep(self._random.uniform(5, 15))
        node.heal()
        time.sleep(5)
        if not node.processes(RAYLET):
            self._cluster.join(node)
        return True

    def kill_mlflow(self) -> bool:
        killed = self._cluster.head.signal(signal.SIGKILL, "mlflow")
        time.sleep(3)
        self._cluster.start_mlflow()
        return bool(killed)

    def fill_disk(self) -> bool:
        ballast = self._cluster.disk / "ballast"
        with suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(b"0" * 2**20)
        time.sleep(4)
        ballast.unlink()
        return True

    def _signal_worker(self, number: int) -> bool:
        workers = self._cluster.workers()
        if not workers:
            return False
        _, pid = self._random.choice(workers)
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        return True


@contextmanager
def cluster(nodes: int) -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="s", dir="/tmp", ignore_cleanup_errors=True) as folder:
        running = Cluster(Path(folder), nodes)
        try:
            yield running
        finally:
            running.close()


def soak(options: argparse.Namespace) -> None:
    import pandas as pd

    with cluster(options.nodes) as running:
        job, runs = running.folder / "soak.yaml", running.disk / "runs"
        job.write_text(JOB.format(trials=options.trials, workers=CORES * options.nodes, limit=15 / 3600, runs=runs,
                                  head=running.head.address, port=PORT))  # fmt: skip
        began, driver, over = time.monotonic(), Driver(running, job), threading.Event()
        faults, memory = Faults(running, options.seed), {}
        thread = threading.Thread(target=faults.run, args=(over, options.fault_every), daemon=True)
        thread.start()
        while not driver.finished():
            ended = ended_trials(runs / "soak")
            if ended >= options.trials / 10:
                memory.setdefault("a tenth", driver.rss_bytes)
            if time.monotonic() - began > options.limit_secs:
                print(
                    f"stopped after {options.limit_secs:g} s with {ended} trials:\n{driver.log.read_text()[-3000:]}"
                )
                break
            time.sleep(1)
        secs = time.monotonic() - began
        over.set()
        thread.join(60)
        memory["the end"] = driver.rss_bytes
        time.sleep(5)
        left = [" ".join(p.cmdline())[:80] for host in running.switch.hosts
                for name in (WORKER, DRIVER) for p in host.processes(name)]  # fmt: skip
        trials, epochs = (pd.read_parquet(runs / "soak" / name) for name in ("trials", "epochs"))
        report(options, secs, faults, driver, trials, epochs, memory, left)


def report(options, secs, faults, driver, trials, epochs, memory, left) -> None:  # type: ignore[no-untyped-def]
    """Print the figures."""
    outcomes = trials["outcome"].value_counts().to_dict()
    lost = set(range(options.trials)) - {int(trial_id[1:]) for trial_id in trials["trial_id"]}
    doubled = int(epochs.duplicated(["trial_id", "epoch"]).sum())
    by_trial = epochs.groupby("trial_id")["epoch"]
    gaps = int((by_trial.max() != by_trial.nunique()).sum())
    print(
        f"{options.trials} trials, {len(epochs)} epochs on {options.nodes} nodes in {secs:.0f} s; outcomes {outcomes}"
    )
    print(f"faults survived: {dict(faults.survived)}, {sum(faults.survived.values())} in all; the command was given "
          f"{driver.runs} times")  # fmt: skip
    print(f"trials lost: {len(lost)}; ended as PREEMPTED or FAILED: "
          f"{sum(outcomes.get(name, 0) for name in ('PREEMPTED', 'FAILED'))}; rows doubled: "
          f"{int(trials['trial_id'].duplicated().sum())}")  # fmt: skip
    print(f"epochs doubled: {doubled}; trials with a missing epoch: {gaps}")
    print(
        f"preemptions: {int(trials['preemptions'].sum())}; longest wait of a trial: {trials['wait_secs'].max():.1f} s"
    )
    print("driver memory: " + ", ".join(f"{size / 2**20:.0f} MB at {when}" for when, size in memory.items()))
    print(f"processes left: {len(left)} {left}")


def ended_trials(run: Path) -> int:
    import pandas as pd

    try:
        return len(pd.read_parquet(run / "trials", columns=["trial_id"]))
    except (OSError, ValueError):
        return 0


def drive(job: str, address: str) -> int:
    """`toprung search JOB --address ADDRESS` with trials that sleep."""
    from idle_trial import SleepingTrial

    from toprung.search.cli import main
    from toprung.trainables.worker import ray_trainable

    ray_trainable.KerasTrial = SleepingTrial  # type: ignore[misc]
    return int(main(["search", job, "--address", address]) or 0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=3000)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--fault-every", type=float, default=6, metavar="SECS")
    parser.add_argument("--limit-secs", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drive", help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the hosts are closed then too
    if options.drive:
        raise SystemExit(drive(options.drive, options.address))
    if reason := hosts.why_no_hosts():
        raise SystemExit(f"no hosts here: {reason}")
    soak(options)


if __name__ == "__main__":
    main()
