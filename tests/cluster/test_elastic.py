"""Searches on a cluster whose nodes join late, die, freeze and lose their network: several hosts, each with processes,
addresses and a name of its own."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hosts
import numpy as np
import pandas as pd
import pytest
from PIL import Image

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(hosts.why_no_hosts() is not None, reason=str(hosts.why_no_hosts())),
]
AWS_SECRET = secrets.token_hex(20)
STORE_PORT = 9000
WORKER = ".train"  # what Ray calls a process whose actor carries out `train`


class Cluster:
    """A head without cores, and nodes of one core that are added and lost."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._nodes = folder, 0
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        clean = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RAY_ADDRESS")
        }
        self.env = {**clean, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "PYTHONUNBUFFERED": "1",
                    "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3",
                    "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": AWS_SECRET}  # fmt: skip
        self._switch = hosts.Switch()
        self.head = self._switch.host("head")
        self._start(self.head, "--head", "--num-cpus=0", "--port=6379", "--include-dashboard=false")

    def node(self, cpus: int = 1) -> hosts.Host:
        """A new node."""
        self._nodes += 1
        host = self._switch.host(f"node{self._nodes}")
        self._start(host, f"--num-cpus={cpus}", f"--address={self.head.address}:6379")
        return host

    def training_node(self) -> hosts.Host:
        """The node on which a worker trains."""
        found = [host for host in self._switch.hosts if host.processes(WORKER)]
        running = {
            host.name: [process.cmdline() for process in host.processes("ray::")]
            for host in self._switch.hosts
        }
        assert len(found) == 1, running
        return found[0]

    def keep_one_node(self) -> None:
        """Start a node where the tests before left none."""
        if not any(host.processes("raylet/raylet") for host in self._switch.hosts if host is not self.head):
            self.node()

    def two_new_nodes(self) -> list[hosts.Host]:
        """Two nodes of one core, after the end of all others."""
        for host in self._switch.hosts:
            if host is not self.head:
                host.die()
        return [self.node(), self.node()]

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

    def _start(self, host: hosts.Host, *arguments: str) -> None:
        hosts.ray_start(host, self.env, self.folder, *arguments)


class Search:
    """A search that runs on the head."""

    def __init__(self, cluster: Cluster, job: Path, run: Path, env: Mapping[str, str] | None = None) -> None:
        self.run, self._log = run, job.with_suffix(".log")
        self._log.touch()
        env = {**cluster.env, "RAY_ADDRESS": f"{cluster.head.address}:6379", **(env or {})}
        self._process = cluster.head.start(search_command(job), env, self._log)

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
        return wait_until(lambda: ready() or self._ended(), secs, self.text)

    def finish(self, secs: float = 300) -> pd.DataFrame:
        """Wait for the end; the trials, each with all its epochs once."""
        assert self._process.wait(secs) == 0, self.text()
        epochs, trials = self.epochs(), pd.read_parquet(self.run / "trials")
        assert not epochs.duplicated(["trial_id", "epoch"]).any()
        assert (epochs.groupby("trial_id")["epoch"].max() == epochs.groupby("trial_id").size()).all()
        assert "Traceback" not in self.text()
        assert "raylet" not in self.text() and "Last result" not in self.text(), "Ray's own lines stay out"
        return trials.set_index("trial_id").sort_index()

    def exit_code(self, secs: float) -> int:
        return self._process.wait(secs)

    def _ended(self) -> bool:
        assert self._process.poll() is None, self.text()
        return False


def search_command(job: Path) -> list[str]:
    return [sys.executable, "-P", "-m", "toprung.search", "search", str(job), "--address", "auto"]


def wait_until(ready: Callable[[], bool], secs: float, state: Callable[[], str]) -> float:
    began = time.monotonic()
    while not ready():
        assert time.monotonic() - began < secs, state()
        time.sleep(0.2)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    running = None
    try:
        running = Cluster(Path(tempfile.mkdtemp(prefix="r", dir="/tmp")))  # sockets want short paths
        yield running
    finally:
        if running:
            running.close()


@pytest.fixture
def search(cluster: Cluster, job_file: Callable[..., Path], tmp_path: Path) -> Callable[..., Search]:
    """Start a search of trials that all train to their ends."""

    def start(epochs: int, trials: int, **resources: Any) -> Search:
        job = job_file(
            "elastic",
            search={"trials": trials, "max_epochs": epochs, "min_epochs": epochs},
            resources={"concurrent": None, **resources},
            storage={"checkpoint_secs": 0.5},
        )
        return Search(cluster, job, tmp_path / "runs" / "elastic")

    return start


def test_a_search_waits_for_its_first_node_and_follows_the_nodes_that_join_and_die(cluster, search) -> None:
    running = search(epochs=300, trials=3)
    running.wait_for(
        lambda: "waiting for a node with 1 CPU; the cluster has 1 node with 0 CPUs" in running.text()
    )
    first = cluster.node()
    took_secs = running.wait_for(lambda: running.epochs_of("t00000") >= 3)
    print(f"three epochs {took_secs:.1f} s after the node was there")
    assert first.signal(signal.SIGKILL, "raylet/raylet")
    cluster.node(cpus=2)
    trials = running.finish()
    assert set(trials["outcome"]) == {"COMPLETED"}
    assert trials["preemptions"].tolist() == [1, 0, 0]
    assert trials.loc["t00000", "wait_secs"] > 0
    assert set(trials["worker_node"]) == {"node2"} and trials["worker_pid"].nunique() == 2
    deaths = [line for line in running.text().splitlines() if "died" in line]
    assert len(deaths) == 1 and "t00000 goes on from its checkpoint" in deaths[0]
    first.die()


def test_a_worker_that_is_stopped_is_killed_when_its_time_is_over(cluster, search) -> None:
    cluster.keep_one_node()
    running = search(epochs=60, trials=2, concurrent=1, max_epoch_hours=20 / 3600)
    running.wait_for(lambda: running.epochs_of("t00000") >= 2)
    node = cluster.training_node()
    stopped = node.processes(WORKER)
    assert node.signal(signal.SIGSTOP, WORKER) == 1
    trials = running.finish()
    assert trials["outcome"].tolist() == ["TIMEOUT", "COMPLETED"]
    assert "resources.max_epoch_hours" in trials.loc["t00000", "reason"]
    assert not any(process.is_running() and process.status() != "zombie" for process in stopped)


def test_a_network_that_is_gone_for_twenty_seconds_costs_nothing(cluster, search) -> None:
    cluster.keep_one_node()
    running = search(epochs=120, trials=1, concurrent=1)
    running.wait_for(lambda: running.epochs_of("t00000") >= 2)
    node = cluster.training_node()
    node.cut()
    time.sleep(20)
    node.heal()
    trials = running.finish()
    assert trials["outcome"].tolist() == ["COMPLETED"] and trials["preemptions"].tolist() == [0]
    assert "died" not in running.text()


def test_images_and_run_on_an_object_store_are_the_same_from_every_node(
    cluster, job_file: Callable[..., Path], tmp_path: Path
) -> None:
    """The URI of the images says where the store is; for the run only the driver's environment does."""
    objects = tmp_path / "objects"
    rng = np.random.default_rng(0)
    for number in range(60):
        image = objects / "photos" / "ab"[number % 2] / f"{number}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 60, (8, 8, 3), np.uint8) + np.uint8(150 * (number % 2))
        Image.fromarray(pixels).save(image)
    nodes = cluster.two_new_nodes()
    with cluster.store(objects) as address:
        where = f"endpoint_override={address}&scheme=http&region=eu-central-1"
        job = job_file(
            "stored",
            data={"source": "folder", "path": f"s3://bucket/photos?{where}"},
            search={"trials": 2, "max_epochs": 9000, "min_epochs": 9000},
            resources={"concurrent": 2},
            storage={"path": "s3://bucket/runs", "checkpoint_secs": 0.5},
        )
        env = {"AWS_ENDPOINT_URL": f"http://{address}", "AWS_REGION": "eu-central-1"}
        running = Search(cluster, job, objects / "runs" / "stored", env)
        running.wait_for(lambda: bool(re.search("2 running.* [1-9][0-9]* epochs", running.text())))
        for host in (cluster.head, *nodes):
            assert not host.processes(AWS_SECRET), "no command line shows a secret"
        elsewhere = {**cluster.env, **env, "RAY_ADDRESS": f"{cluster.head.address}:6379"}
        second = nodes[0].run(search_command(job), elsewhere)
        assert all(node.processes(WORKER) for node in nodes)
        assert cluster.head.signal(signal.SIGINT, str(job)) and running.exit_code(60) == 130, running.text()
    (refused,) = [line for line in second.stderr.splitlines() if line.startswith("toprung:")]
    assert second.returncode == 2 and "another search is writing s3://bucket/runs/stored" in refused
    assert "host head, since 20" in refused
    assert set(running.epochs()["trial_id"]) == {"t00000", "t00001"}
    written = [path for folder in (cluster.folder, tmp_path) for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in written if AWS_SECRET.encode() in path.read_bytes()]


def test_a_head_that_is_dead_ends_the_search_with_one_line(cluster, search) -> None:
    cluster.keep_one_node()
    running = search(epochs=3000, trials=1, concurrent=1)
    running.wait_for(lambda: running.epochs_of("t00000") >= 2)
    assert cluster.head.signal(signal.SIGKILL, "gcs/gcs_server")
    assert running.exit_code(120) == 1, running.text()
    lines = [line for line in running.text().splitlines() if "cluster's head" in line]
    assert len(lines) == 1 and "the same command goes on" in lines[0], running.text()
