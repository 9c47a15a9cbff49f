"""A search on a Ray cluster that runs already: two nodes on this machine, joined from inside and submitted from
outside, with the tables a local search leaves."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def ray_command(*arguments: str, env: dict[str, str], check: bool = True) -> subprocess.CompletedProcess[str]:
    """Ray's own command line, from the environment that runs the tests."""
    command = [sys.executable, "-m", "ray.scripts.scripts", *arguments]
    return subprocess.run(
        command, env=env, check=check, capture_output=True, text=True, cwd=ROOT, timeout=240
    )


class Cluster:
    """A head and one more node, asking for a token, on ports of their own."""

    def __init__(self, folder: Path) -> None:
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        self.port, self.dashboard = free_port(), free_port()
        # Workers find the packages through the working directory, as they would on another machine.
        clean = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RAY_ADDRESS")
        }
        self.env = {**clean, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token),
                    "RAY_GRAFANA_HOST": "", "RAY_USAGE_STATS_ENABLED": "0"}  # fmt: skip

    def start(self) -> None:
        self._nodes = [self._node(
            "--head", f"--port={self.port}", f"--dashboard-port={self.dashboard}", "--dashboard-host=127.0.0.1",
            "--include-dashboard=true", f"--ray-client-server-port={free_port()}",
        )]  # fmt: skip
        self._wait_for(nodes=1)
        # Nodes of one machine would clear each other's copies of a job's working directory; sockets want short paths.
        self._other_temp = tempfile.mkdtemp(prefix="ray-")
        self._nodes.append(self._node(f"--address=127.0.0.1:{self.port}", f"--temp-dir={self._other_temp}"))
        self._wait_for(nodes=2)

    def stop(self) -> None:
        for node in self._nodes:
            started = [*psutil.Process(node.pid).children(recursive=True), psutil.Process(node.pid)]
            for process in started:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            node.wait()
        shutil.rmtree(self._other_temp, ignore_errors=True)

    def _node(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1",
                   "--disable-usage-stats", *arguments]  # fmt: skip
        return subprocess.Popen(
            command, env=self.env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def _wait_for(self, nodes: int) -> None:
        script = "import ray; ray.init(address='auto'); print('alive', sum(n['Alive'] for n in ray.nodes()))"
        env = {**self.env, "RAY_ADDRESS": f"127.0.0.1:{self.port}"}
        for _ in range(30):
            asked = subprocess.run(
                [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False
            )
            if f"alive {nodes}" in asked.stdout:
                return
            time.sleep(1)
        raise AssertionError(f"{nodes} nodes did not come up: {asked.stderr[-2000:]}")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    running = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


def whole_search(run: Path, trials: int) -> pd.DataFrame:
    found = pd.read_parquet(run / "trials")
    assert sorted(found["trial_id"]) == [f"t{number:05d}" for number in range(trials)]
    assert set(found["outcome"]) <= {"COMPLETED", "STOPPED"}, found["error"].tolist()
    epochs = pd.read_parquet(run / "epochs")
    assert not epochs.duplicated(["trial_id", "epoch"]).any()
    return found


def test_joined_from_inside_the_search_uses_both_nodes(
    toprung, job_file, tmp_path: Path, cluster: Cluster
) -> None:
    job = job_file(resources={"concurrent": None}, search={"trials": 8, "max_epochs": 9})
    env = {**cluster.env, "RAY_ADDRESS": f"127.0.0.1:{cluster.port}"}
    ended = toprung("search", job, "--address", "auto", env=env).wait()
    assert ended.returncode == 0, ended.stderr
    found = whole_search(tmp_path / "runs" / "small", 8)
    assert found["worker_pid"].nunique() == 2, "each node has room for one trial"


def test_submitted_from_outside_as_a_ray_job(job_file, tmp_path: Path, cluster: Cluster) -> None:
    job = job_file("submitted", resources={"concurrent": None}, search={"trials": 4, "max_epochs": 3})
    ended = ray_command(
        "job", "submit", "--address", f"http://127.0.0.1:{cluster.dashboard}", "--working-dir", str(ROOT), "--",
        sys.executable, "-m", "toprung.search", "search", str(job), env=cluster.env, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "toprung retrain" in ended.stdout
    whole_search(tmp_path / "runs" / "submitted", 4)


def test_the_cluster_goes_on_after_a_search_on_it_was_killed(
    toprung, job_file, tmp_path: Path, cluster: Cluster
) -> None:
    job, run = job_file("killed", resources={"concurrent": None}), tmp_path / "runs" / "killed"
    env = {**cluster.env, "RAY_ADDRESS": f"127.0.0.1:{cluster.port}"}
    first = toprung("search", job, env=env)
    deadline = time.monotonic() + 90
    while not (run / "epochs").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    first.process.kill()
    first.wait()
    ended = toprung("search", job, env=env).wait()
    assert ended.returncode == 0, ended.stderr
    whole_search(run, 6)


def test_an_address_where_no_cluster_answers_is_one_clear_line(toprung, job_file) -> None:
    env = {"RAY_AUTH_MODE": "disabled"}
    ended = toprung("search", job_file(), "--address", f"127.0.0.1:{free_port()}", env=env).wait()
    assert ended.returncode == 1
    assert "no Ray cluster answers at 127.0.0.1" in ended.stderr
    assert "RAY_AUTH_TOKEN_PATH" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_cluster_that_asks_for_a_token_says_so(toprung, job_file, cluster: Cluster) -> None:
    env = dict.fromkeys(("RAY_AUTH_TOKEN_PATH",), "")
    address = f"127.0.0.1:{cluster.port}"
    ended = toprung(
        "search", job_file(), "--address", address, env={**env, "RAY_AUTH_MODE": "disabled"}
    ).wait()
    assert ended.returncode == 1
    assert "RAY_AUTH_TOKEN_PATH" in ended.stderr
    assert "Traceback" not in ended.stderr
