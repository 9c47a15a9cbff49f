"""Retraining on a cluster of hosts: a head without CPUs drives it, a node with one trains, and each of them may die."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hosts
import pytest
from hosts import is_alive, wait_until

from toprung.results.tables.parts import read_table
from toprung.results.tables.rows import epoch_row, proposal_row, trial_row
from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS, kinds_of, run_schemas
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter
from toprung.search.jobs.schema import Job
from toprung.search.runs.run_folder import RunFolder
from toprung.trainables.data.dataset import load
from toprung.trainables.trial.report import EpochReport, Outcome

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(hosts.why_no_hosts() is not None, reason=str(hosts.why_no_hosts())),
]
CONFIG = {"blocks": 1, "convs_per_block": 1, "filters": 8, "kernel_size": 3, "dense_units": 0, "head": "flatten",
          "batch_norm": False, "pooling": "max", "filter_growth": 1.0, "batch_size": 32, "optimizer": "adamw",
          "learning_rate": 0.01}  # fmt: skip
TRAINING = "ray::retrain"
HOLD = """
import ray, time
ray.init("{}:6379", log_to_driver=False)
@ray.remote(num_cpus=1)
class Holder:
    def hold(self): return "held"
holder = Holder.remote()
print(ray.get(holder.hold.remote()), flush=True)
time.sleep(300)
"""


class Cluster:
    """A head without CPUs, and a node with one and with a GPU that is none: Ray takes it on trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        clean = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        self.env = {**clean, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "PYTHONUNBUFFERED": "1",
                    "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0",
                    "RAY_prestart_worker_first_driver": "0"}  # fmt: skip
        self._switch = hosts.Switch()
        self.head, self.node = self._switch.host("head"), self._switch.host("node1")

    def start(self) -> None:
        self._start(self.head, "--head", "--num-cpus=0", "--port=6379", "--include-dashboard=false")
        self._join()

    def replace_node(self) -> None:
        """Take another node in place of the one that has died."""
        self.node.die()
        self.node = self._switch.host("node2")
        self._join()

    def close(self) -> None:
        self._switch.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _join(self) -> None:
        self._start(self.node, "--num-cpus=1", "--num-gpus=1", f"--address={self.head.address}:6379")

    def _start(self, host: hosts.Host, *arguments: str) -> None:
        hosts.ray_start(host, self.env, self._folder, *arguments)


class Command:
    """A command on the head."""

    def __init__(self, cluster: Cluster, log: Path, *arguments: object) -> None:
        self._log, self._head = log, cluster.head
        command = [sys.executable, "-P", "-m", "toprung.search", *map(str, arguments), "--address",
                   f"{cluster.head.address}:6379"]  # fmt: skip
        self._process = self._head.start(command, cluster.env, log)

    def wait_for(self, pattern: str) -> str:
        """The first line that matches."""
        wait_until(lambda: re.search(pattern, self._log.read_text()) or self._ended(), self._log.read_text)
        found = re.search(f".*{pattern}.*", self._log.read_text())
        assert found
        return found.group()

    def text(self) -> str:
        return self._log.read_text()

    def loads_tensorflow(self) -> bool:
        (driver,) = (p for p in self._head.processes("toprung.search retrain") if "nsenter" not in p.name())
        return any("tensorflow" in entry.path for entry in driver.memory_maps())

    def kill(self) -> None:
        assert self._head.signal(signal.SIGKILL, "toprung.search retrain")
        self._process.wait()

    def finish(self, code: int = 0) -> str:
        assert self._process.wait(200) == code, self._log.read_text()
        return self._log.read_text()

    def _ended(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        return False


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    running = Cluster(Path(tempfile.mkdtemp(prefix="r", dir="/tmp")))  # sockets want short paths
    try:
        running.start()
        yield running
    finally:
        running.close()


@pytest.fixture
def run(job_file: Callable[..., Path], tmp_path: Path) -> Path:
    """The folder of a search of one trial, which has ended."""
    settings = {"storage": {"checkpoint_secs": 0.2}, "retrain": {"epochs": 60}, "resources": {"gpus": 0}}
    job = Job.from_file(job_file("searched", search={"trials": 1, "max_epochs": 60}, **settings))
    folder, fingerprint = RunFolder(job.run_root), load(job.data_spec()).fingerprint
    folder.claim(job).release()
    report = EpochReport("t00000", 1, {"val_accuracy": 0.5})
    details = TrialDetails(seed=7, gpus=0.0, data_fingerprint=fingerprint)
    with RunWriter(folder.root, run_schemas(kinds_of([CONFIG]))) as writer:
        writer.append(PROPOSALS, proposal_row("t00000", CONFIG, 0))
        writer.append(EPOCHS, epoch_row(report, 0, "STOP"))
        writer.append(TRIALS, trial_row("t00000", CONFIG, Outcome.COMPLETED, [report], details))
    return Path(folder.root)


def test_a_retraining_survives_the_death_of_its_driver_and_of_its_worker(
    cluster: Cluster, run: Path, tmp_path: Path
) -> None:
    first = Command(cluster, tmp_path / "first.log", "retrain", run)
    assert first.wait_for("training t00000").endswith("on node1")
    first.wait_for("epoch 8/60")
    assert not first.loads_tensorflow(), "the head has no GPU and less memory"
    assert "other work" not in first.text(), "a process that starts has its place"
    first.kill()
    wait_until(lambda: not cluster.node.processes(TRAINING), str)
    second = Command(cluster, tmp_path / "second.log", "retrain", run)
    resumed = int(second.wait_for(r"epoch \d+/60.*from a saved state").split("/")[0].split()[-1])
    assert resumed > 1
    cluster.node.signal(signal.SIGKILL, TRAINING)
    second.wait_for("lost its worker")
    epochs = [int(number) for number in re.findall(r"epoch (\d+)/60: .*from a saved state", second.finish())]
    assert len(epochs) == 2 and epochs[0] == resumed <= epochs[1]
    report = json.loads((run / "retrain" / "report.json").read_text())
    assert (report["node"], report["epochs"], report["device"]) == ("node1", 60, "cpu")
    assert report["test_accuracy"] > 0.5
    assert len(report["test_reads"]) == 1
    assert not list((run / "retrain" / "checkpoints").iterdir())


def test_a_retraining_survives_a_process_that_is_stopped_and_the_death_of_its_node(
    cluster: Cluster, run: Path, tmp_path: Path
) -> None:
    limit = ("--set", f"resources.max_epoch_hours={8 / 3600}", "--set", "retrain.epochs=150")
    other = cluster.head.start(
        [sys.executable, "-c", HOLD.format(cluster.head.address)], cluster.env, tmp_path / "other"
    )
    wait_until(lambda: "held" in (tmp_path / "other").read_text(), (tmp_path / "other").read_text)
    command = Command(cluster, tmp_path / "retrain.log", "retrain", run, *limit)
    command.wait_for("waiting for 1 CPU: other work has the cluster's nodes")
    other.kill()
    cluster.head.signal(signal.SIGKILL, "ray.init")
    command.wait_for("epoch 8/150")
    stopped = cluster.node.processes(TRAINING)
    assert cluster.node.signal(signal.SIGSTOP, TRAINING) == 1
    command.wait_for("lost its worker .no word from node1 for 0.00222 hours .resources.max_epoch_hours")
    command.wait_for(r"epoch \d+/150.*from a saved state")
    wait_until(lambda: not any(map(is_alive, stopped)), command.text, secs=30)
    assert cluster.node.signal(signal.SIGKILL, "raylet/raylet")
    command.wait_for("waiting for a node with 1 CPU; the cluster has 1 node with 0 CPUs")
    cluster.replace_node()
    command.wait_for("training t00000 on node2")
    command.finish()
    report = json.loads((run / "retrain" / "report.json").read_text())
    assert (report["node"], report["epochs"], len(report["test_reads"])) == ("node2", 150, 1)


UNSEEN_GPU = "toprung: node {}: Ray gives 1 GPU, TensorFlow sees none: pip install 'toprung[gpu]'"


def test_a_gpu_that_tensorflow_does_not_see_ends_a_retraining_and_a_search_with_one_line(
    cluster: Cluster, run: Path, job_file: Callable[..., Path], tmp_path: Path
) -> None:
    job = job_file("unseen", resources={"gpus": 1, "concurrent": None})
    commands = [
        Command(cluster, tmp_path / "retrain.log", "retrain", run, "--set", "resources.gpus=1"),
        Command(cluster, tmp_path / "search.log", "search", job),
    ]
    for command in commands:
        assert UNSEEN_GPU.format(cluster.node.name) in command.finish(code=1).splitlines()
    assert read_table(str(tmp_path / "runs" / "unseen"), TRIALS).empty, "no trial has failed"
    assert not (run / "retrain" / "test_reads.json").exists()
