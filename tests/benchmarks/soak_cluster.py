"""The cluster that `soak.py` damages: a head without cores, machines that train, one from which the search is driven,
an MLflow server, and a disk that all of them share."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HERE = Path(__file__).parent
FAKES = HERE.parent / "fakes"
sys.path[:0] = [str(HERE), str(FAKES), str(HERE.parent / "cluster")]
import hosts  # noqa: E402

WORKER, DRIVER, RAYLET, MLFLOW = ".train", "soak.py --drive", "raylet/raylet", "mlflow"
PORT, DATABASE = 5055, "mlflow.db"
SOONER = {"RAY_health_check_timeout_ms": "2000", "RAY_gcs_rpc_server_reconnect_timeout_s": "20"}
"""Ray misses a machine after 25 s in place of 65, and one that is cut off ends its processes after 20 s, not 60."""
DISK_BYTES = 400 * 2**20


class Cluster:
    """The machines, each a namespace with processes and an address of its own."""

    desk: hosts.Host
    nodes: list[hosts.Host]

    def __init__(self, folder: Path, cores: int) -> None:
        self.folder, self.disk, self._cores = folder, folder / "disk", cores
        self.disk.mkdir()
        size = f"size={DISK_BYTES}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(self.disk)], check=True)
        (folder / "token").write_text(secrets.token_hex(32))
        clean = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        self.env = {**clean, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
                    "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1",
                    "PYTHONPATH": str(FAKES), **SOONER}  # fmt: skip
        self.switch = hosts.Switch()
        self._count = 0
        self.head = self.switch.host("head")

    def start(self, nodes: int) -> None:
        """Start the head with MLflow, the machine of the driver, and so many that train."""
        head = ("--head", "--num-cpus=0", "--port=6379", "--include-dashboard=false")
        hosts.ray_start(self.head, self.env, self.folder, *head)
        self.start_mlflow()
        self.desk = self.new_machine(0)
        self.nodes = [self.new_machine(self._cores) for _ in range(nodes)]

    @property
    def address(self) -> str:
        """Where the head listens."""
        return f"{self.head.address}:6379"

    def new_machine(self, cores: int) -> hosts.Host:
        """A machine that has joined."""
        self._count += 1
        host = self.switch.host(f"machine{self._count}")
        self._join(host, cores)
        return host

    def replace(self, node: hosts.Host) -> None:
        """End a machine that trains and have another join in its place."""
        node.die()
        self.nodes[self.nodes.index(node)] = self.new_machine(self._cores)

    def join_again(self, node: hosts.Host) -> None:
        """Start Ray anew on a machine that has lost it, as after a restart."""
        node.signal(signal.SIGKILL, "")
        self._join(node, self._cores)

    def _join(self, host: hosts.Host, cores: int) -> None:
        hosts.ray_start(host, self.env, self.folder, f"--num-cpus={cores}", f"--address={self.address}")

    def start_mlflow(self) -> None:
        """Start the server on the head."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "0.0.0.0", "--port", str(PORT), "--workers", "1",
                   "--allowed-hosts", "*", "--backend-store-uri", f"sqlite:///{self.folder}/{DATABASE}",
                   "--default-artifact-root", str(self.folder / "artifacts")]  # fmt: skip
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.head.start(command, {**self.env, **quiet}, self.folder / "mlflow.log")

    def close(self) -> None:
        """End all machines."""
        self.switch.close()
        subprocess.run(["umount", "-l", str(self.disk)], check=False)


class Driver:
    """The search's command, which is given again whenever it ends before the search does."""

    def __init__(self, cluster: Cluster, job: Path) -> None:
        self._cluster, self._job = cluster, job
        self.runs, self.rss_bytes = 0, 0
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

    def interrupt(self, secs: float = 90) -> None:
        """End the search as Ctrl-C does, to go on another time."""
        self._cluster.desk.signal(signal.SIGINT, DRIVER)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(secs)

    def _start(self) -> None:
        if not self._cluster.desk.is_alive:  # another joins soon
            return
        self.runs += 1
        command = [
            sys.executable,
            str(HERE / "soak.py"),
            "--drive",
            str(self._job),
            "--address",
            self._cluster.address,
        ]
        self._process = self._cluster.desk.start(command, self._cluster.env, self.log)

    def _measure(self) -> None:
        for process in self._cluster.desk.processes(DRIVER):
            with suppress(Exception):
                self.rss_bytes = process.memory_info().rss


@contextmanager
def cluster(nodes: int, cores: int, kept: Path | None) -> Iterator[Cluster]:
    """A running cluster, whose runs and MLflow begin with what an earlier one left in the folder `kept`."""
    # Sockets want short paths, and a run goes on in the folder that it began in.
    name = hashlib.sha256(str(kept.resolve()).encode()).hexdigest()[:6] if kept else secrets.token_hex(3)
    folder = Path("/tmp") / f"s{name}"
    folder.mkdir()
    running = None
    try:
        if kept and (kept / DATABASE).exists():
            shutil.copy(kept / DATABASE, folder)
        running = Cluster(folder, cores)
        running.start(nodes)
        if kept and (kept / "runs").exists():
            shutil.copytree(kept / "runs", running.disk / "runs")
        yield running
    finally:
        if kept and running:
            _keep(running, kept)
        if running:
            running.close()
        else:
            subprocess.run(["umount", "-l", str(folder / "disk")], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _keep(running: Cluster, kept: Path) -> None:
    if not (running.disk / "runs").exists():
        return
    running.head.signal(signal.SIGKILL, MLFLOW)
    shutil.copy(running.folder / DATABASE, kept)
    shutil.rmtree(kept / "runs", ignore_errors=True)
    with suppress(OSError):
        shutil.copytree(running.disk / "runs", kept / "runs")
