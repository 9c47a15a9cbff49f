"""A search on a cluster whose nodes Ray's own autoscaler starts, up to its limit, and ends, down to none."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hosts
import pandas as pd
import pytest
from hosts import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(hosts.why_no_hosts() is not None, reason=str(hosts.why_no_hosts())),
]
MAX_NODES = 2
# Ray's provider of nodes that are processes of the head's machine.
LAUNCHER = {
    "cluster_name": "autoscaled",
    "max_workers": MAX_NODES,
    "idle_timeout_minutes": 0.1,
    "upscaling_speed": 10.0,
    "provider": {
        "type": "fake_multinode",
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
    },
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "worker": {
            "resources": {"CPU": 1, "object_store_memory": 10**8},
            "node_config": {},
            "min_workers": 0,
            "max_workers": MAX_NODES,
        },
    },
    "head_node_type": "ray.head.default",
    "file_mounts_sync_continuously": False,
    **{key: {} for key in ("auth", "docker", "file_mounts", "head_node", "worker_nodes")},
    **{
        key: []
        for key in (
            "cluster_synced_files",
            "rsync_exclude",
            "rsync_filter",
            "initialization_commands",
            "setup_commands",
            "head_setup_commands",
            "worker_setup_commands",
            "head_start_ray_commands",
            "worker_start_ray_commands",
        )
    },
}


@pytest.fixture
def head() -> Iterator[tuple[hosts.Host, dict[str, str]]]:
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # sockets want short paths
    (folder / "token").write_text(secrets.token_hex(32))
    (folder / "launcher.yaml").write_text(json.dumps(LAUNCHER))
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RAY_ADDRESS")}
    env = {**clean, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
           "RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_enable_autoscaler_v2": "0",
           "RAY_worker_niceness": "0", "RAY_prestart_worker_first_driver": "0", "OMP_NUM_THREADS": "1"}  # fmt: skip
    switch = hosts.Switch()
    try:
        host = switch.host("head")
        hosts.ray_start(
            host, env, folder, "--head", "--num-cpus=0", "--port=6379", "--include-dashboard=false",
            f"--autoscaling-config={folder}/launcher.yaml",
        )  # fmt: skip
        yield host, env
    finally:
        switch.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_nodes_come_for_a_search_and_go_after_it(
    head: tuple[hosts.Host, dict[str, str]], job_file: Callable[..., Path], tmp_path: Path
) -> None:
    host, env = head
    job, log, run = (
        job_file(
            "scaled", search={"trials": 6, "max_epochs": 40, "min_epochs": 40}, resources={"concurrent": None}
        ),
        tmp_path / "log",
        tmp_path / "runs" / "scaled",
    )

    def raylets() -> int:
        return len(host.processes("raylet/raylet"))

    assert raylets() == 1, "the head alone"
    command = [sys.executable, "-P", "-m", "toprung.search", "search", str(job), "--address",
               f"{host.address}:6379"]  # fmt: skip
    search = host.start(command, env, log)
    wait_until(lambda: raylets() == 1 + MAX_NODES or search.poll() is not None, log.read_text)
    assert search.wait(200) == 0, log.read_text()
    trials = pd.read_parquet(run / "trials")
    assert list(trials["outcome"]) == ["COMPLETED"] * 6 and trials["worker_pid"].nunique() == MAX_NODES
    wait_until(lambda: raylets() == 1, lambda: f"{raylets()} raylets are left")
    assert not host.signal(signal.SIGKILL, "toprung.search"), "no process is left"
