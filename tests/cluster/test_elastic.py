"""Searches on a cluster whose nodes join late, die, freeze and lose their network: several hosts, each with processes,
addresses and a name of its own."""

from __future__ import annotations

import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hosts
import numpy as np
import pytest
from elastic_cluster import AWS_SECRET, RAYLET, SLEEPS, WORKER, Cluster, Search
from hosts import is_alive
from PIL import Image

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(hosts.why_no_hosts() is not None, reason=str(hosts.why_no_hosts())),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    running = Cluster(Path(tempfile.mkdtemp(prefix="r", dir="/tmp")))  # sockets want short paths
    try:
        running.start()
        yield running
    finally:
        running.close()


@pytest.fixture
def search(cluster: Cluster, job_file: Callable[..., Path], tmp_path: Path) -> Callable[..., Search]:
    """Start a search of trials that all sleep to their ends, 0.2 s an epoch."""

    def start(
        epochs: int, trials: int, name: str = "elastic", host: hosts.Host | None = None, **resources: Any
    ) -> Search:
        job = job_file(
            name,
            search={"trials": trials, "max_epochs": epochs, "min_epochs": epochs},
            resources={"concurrent": None, **resources},
            storage={"checkpoint_secs": 0.5},
        )
        started = Search(cluster, job, tmp_path / "runs" / name, SLEEPS)
        started.start(host or cluster.head)
        return started

    return start


def test_a_search_waits_for_its_first_node_and_follows_the_nodes_that_join_and_die(cluster, search) -> None:
    running = search(epochs=50, trials=2)
    running.wait_for(
        lambda: "waiting for a node with 1 CPU; the cluster has 1 node with 0 CPUs" in running.text()
    )
    first = cluster.node()
    took_secs = running.wait_for(lambda: running.epochs_of("t00000") >= 3)
    print(f"three epochs {took_secs:.1f} s after the node was there")
    assert first.signal(signal.SIGKILL, RAYLET)
    cluster.node(cpus=2)
    trials = running.finish()
    assert set(trials["outcome"]) == {"COMPLETED"}
    assert trials["preemptions"].tolist() == [1, 0]
    assert trials.loc["t00000", "wait_secs"] > 0
    assert set(trials["worker_node"]) == {"node2"} and trials["worker_pid"].nunique() == 2
    deaths = [line for line in running.text().splitlines() if "died" in line]
    assert len(deaths) == 1 and "t00000 goes on from its checkpoint" in deaths[0]
    first.die()


def test_a_worker_that_is_stopped_is_killed_when_its_time_is_over(cluster, search) -> None:
    cluster.keep_one_node()
    running = search(epochs=30, trials=2, concurrent=1, max_epoch_hours=8 / 3600)
    running.wait_for(lambda: running.epochs_of("t00000") >= 2)
    (node,) = cluster.training_nodes()
    stopped = node.processes(WORKER)
    assert node.signal(signal.SIGSTOP, WORKER) == 1
    trials = running.finish()
    assert trials["outcome"].tolist() == ["TIMEOUT", "COMPLETED"]
    assert "resources.max_epoch_hours" in trials.loc["t00000", "reason"]
    assert not any(map(is_alive, stopped))


def test_networks_that_are_cut_and_the_lost_machine_of_a_driver_cost_no_epoch(cluster, search) -> None:
    """At the same time one of a search's two workers has no network for 20 s, the other never again, and another search
    loses the machine of its driver; its command is given again on the head."""
    desk, *_ = cluster.new_nodes(0, 1, 1, 1)
    moved = search(epochs=3000, trials=1, name="moved", host=desk, concurrent=1)
    moved.wait_for(lambda: moved.epochs_of("t00000") >= 2)
    (abandoned,) = cluster.training_nodes()
    cut = search(epochs=3000, trials=2, name="cut", concurrent=2)
    cut.wait_for(lambda: all(cut.epochs_of(trial_id) >= 2 for trial_id in ("t00000", "t00001")))
    back, lost = (node for node in cluster.training_nodes() if node is not abandoned)
    kept, ended = back.processes(WORKER), abandoned.processes(WORKER)
    for node in (back, lost):
        node.cut()
    desk.die()
    known = moved.epochs_of("t00000")
    moved.start(cluster.head)
    time.sleep(20)
    back.heal()
    moved.wait_for(lambda: moved.epochs_of("t00000") > known)
    assert "s for a sign of life from the search" in moved.text()
    assert moved.interrupt(cluster.head)["preemptions"].max() == 0
    cut.wait_for(lambda: cut.epochs()["preemptions"].max() == 1)
    assert [process.is_running() for process in kept] == [True], "its network came back"
    epochs = cut.interrupt(cluster.head).groupby("trial_id").agg("last")
    assert sorted(epochs["preemptions"]) == [0, 1], "one went on when there was room again"
    assert (epochs["wait_secs"] > 0).tolist() == (epochs["preemptions"] > 0).tolist()
    assert not any(map(is_alive, ended)), "Ray ends what the lost driver had started"


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
    nodes = cluster.new_nodes(1, 1)
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
        running = Search(cluster, job, objects / "runs" / "stored", env=env)
        running.start(cluster.head)
        running.wait_for(lambda: bool(re.search("2 running.* [1-9][0-9]* epochs", running.text())))
        for host in (cluster.head, *nodes):
            assert not host.processes(AWS_SECRET), "no command line shows a secret"
        second = nodes[0].run(running.command, running.env)
        assert all(node.processes(WORKER) for node in nodes)
        running.interrupt(cluster.head)
    (refused,) = [line for line in second.stderr.splitlines() if line.startswith("toprung:")]
    assert second.returncode == 2 and "another search is writing s3://bucket/runs/stored" in refused
    assert "host head, since 20" in refused
    assert set(running.whole_epochs()["trial_id"]) == {"t00000", "t00001"}
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
