"""A cluster of several hosts that are added, cut off and lost, and the searches that run on it, for tests of both."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import hosts
import pandas as pd
from hosts import wait_until

AWS_SECRET = secrets.token_hex(20)
STORE_PORT = 9000
SLEEPING_SEARCH = str(Path(__file__).parents[1] / "fakes" / "sleeping_search.py")
MISSED_SECS = 35
"""After so many seconds without a sign of life Ray takes a node for dead, here; 65 where nobody sets it."""
TRAINS, SLEEPS = ("-P", "-m", "toprung.search"), (SLEEPING_SEARCH,)
RAYLET = "raylet/raylet"
WORKER = ".train"  # what Ray calls a process whose actor carries out `train`


class Cluster:
    """A head without cores, and nodes of one core that are added and lost; Ray misses a node after MISSED_SECS."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._nodes = folder, 0
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        clean = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RAY_ADDRESS")
        }
        self.env = {**clean, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "PYTHONUNBUFFERED": "1",
                    "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "RAY_prestart_worker_first_driver": "0",
                    "RAY_health_check_timeout_ms": str(1000 * (MISSED_SECS // 5 - 3)),
                    "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3",
                    "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": AWS_SECRET}  # fmt: skip
        self._switch = hosts.Switch()
        self.head = self._switch.host("head")

    def start(self) -> None:
        """Start the head."""
        self._start(self.head, "--head", "--num-cpus=0", "--port=6379", "--include-dashboard=false")

    def node(self, cpus: int = 1) -> hosts.Host:
        """A new node."""
        host = self._host()
        self._join(host, cpus)
        return host

    def training_nodes(self) -> list[hosts.Host]:
        """The nodes on which workers train."""
        return [host for host in self._switch.hosts if host.processes(WORKER)]

    def keep_one_node(self) -> None:
        """Start a node where the tests before left none."""
        if not any(host.processes(RAYLET) for host in self._switch.hosts if host is not self.head):
            self.node()

    def new_nodes(self, *cpus: int) -> list[hosts.Host]:
        """Nodes with so many cores, started at the same time after the end of all others."""
        for host in self._switch.hosts:
            if host is not self.head:
                host.die()
        added = [self._host() for _ in cpus]
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._join, added, cpus))
        return added

    @contextmanager
    def store(self, folder: Path) -> Iterator[str]:
        """An object store on the head that all hosts reach, with the files of a folder; its address."""
        command = [
            sys.executable,
            str(Path(__file__).parents[1] / "s3_server.py"),
            "0.0.0.0",
            str(STORE_PORT),
            str(folder),
        ]
        server = self.head.start(command, self.env, self.folder / "store.log")
        try:
            yield f"{self.head.address}:{STORE_PORT}"
        finally:
            self.head.signal(signal.SIGTERM, "s3_server.py")
            server.wait(30)

    def close(self) -> None:
        self._switch.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _host(self) -> hosts.Host:
        self._nodes += 1
        return self._switch.host(f"node{self._nodes}")

    def _join(self, host: hosts.Host, cpus: int) -> None:
        self._start(host, f"--num-cpus={cpus}", f"--address={self.head.address}:6379")

    def _start(self, host: hosts.Host, *arguments: str) -> None:
        hosts.ray_start(host, self.env, self.folder, *arguments)


class Search:
    """A search that is driven from the head, or from the host given; its trials sleep, or train."""

    def __init__(
        self,
        cluster: Cluster,
        job: Path,
        run: Path,
        program: Sequence[str] = TRAINS,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.run, self._job, self._log = run, job, job.with_suffix(".log")
        self.command = [sys.executable, *program, "search", str(job), "--address", "auto"]
        self.env = {**cluster.env, "RAY_ADDRESS": f"{cluster.head.address}:6379", **(env or {})}
        self._log.touch()

    def start(self, host: hosts.Host) -> None:
        """Give the command on a host; what it says follows what it said before."""
        self._process = host.start(self.command, self.env, self._log)

    def text(self) -> str:
        return self._log.read_text()

    def epochs(self) -> pd.DataFrame:
        if not (self.run / "epochs").exists():
            return pd.DataFrame({"trial_id": [], "epoch": []})
        return pd.read_parquet(self.run / "epochs")

    def epochs_of(self, trial_id: str) -> int:
        found = self.epochs()
        return int((found["trial_id"] == trial_id).sum())

    def wait_for(self, ready: Callable[[], bool], secs: float = 180) -> float:
        """Wait until something is so; returns for how many seconds that took."""
        return wait_until(lambda: ready() or self._ended(), self.text, secs)

    def finish(self, secs: float = 300) -> pd.DataFrame:
        """Wait for the end; the trials, each with all its epochs once."""
        assert self._process.wait(secs) == 0, self.text()
        self.whole_epochs()
        assert "Traceback" not in self.text()
        assert "raylet" not in self.text() and "Last result" not in self.text(), "Ray's own lines stay out"
        return pd.read_parquet(self.run / "trials").set_index("trial_id").sort_index()

    def interrupt(self, host: hosts.Host) -> pd.DataFrame:
        """End it on its host as Ctrl-C does; the epochs, each of them once and none missing."""
        assert host.signal(signal.SIGINT, str(self._job)) and self.exit_code(60) == 130, self.text()
        assert "Traceback" not in self.text()
        return self.whole_epochs()

    def exit_code(self, secs: float) -> int:
        return self._process.wait(secs)

    def whole_epochs(self) -> pd.DataFrame:
        """The epochs, each of them once and none missing."""
        epochs = self.epochs()
        assert not epochs.duplicated(["trial_id", "epoch"]).any()
        assert (epochs.groupby("trial_id")["epoch"].max() == epochs.groupby("trial_id").size()).all()
        return epochs

    def _ended(self) -> bool:
        assert self._process.poll() is None, self.text()
        return False
