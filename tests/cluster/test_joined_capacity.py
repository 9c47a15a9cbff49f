"""What a search wants from a running cluster, and what it refuses because no node of it could ever hold a trial."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from toprung.cluster.node_types import types_in_launcher_file
from toprung.cluster.session import Capacity, TrialResources, joined_capacity
from toprung.spaces.errors import InputError

CPU_NODE, GPU_NODE = {"CPU": 8.0}, {"CPU": 8.0, "GPU": 2.0}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A cluster of a 0-CPU head: nodes that are alive, and types of nodes that its autoscaler may start."""
    found = SimpleNamespace(alive=[{"CPU": 0.0}], types=None)
    monkeypatch.setattr("toprung.cluster.session.alive_nodes", lambda: found.alive)
    monkeypatch.setattr("toprung.cluster.session.node_types", lambda: found.types)
    return found


def test_a_cluster_without_any_room_is_joined_and_may_grow(cluster: SimpleNamespace) -> None:
    assert joined_capacity(TrialResources(1, 0, None), "head") == Capacity(1, True, "head", is_joined=True)
    cluster.alive.append(CPU_NODE)
    assert joined_capacity(TrialResources(2, 0, None), "head").concurrent == 5


def test_the_number_that_the_job_wants_counts_and_not_what_is_there(cluster: SimpleNamespace) -> None:
    assert joined_capacity(TrialResources(1, 1, 6), "head") == Capacity(6, True, "head", is_joined=True)
    assert not joined_capacity(TrialResources(1, 1, 1), "head").proposes_early, "so that it can be repeated"


def test_what_no_type_of_node_could_hold_is_refused_at_once(cluster: SimpleNamespace) -> None:
    cluster.types = [CPU_NODE, GPU_NODE]
    assert joined_capacity(TrialResources(8, 2, None), "head").concurrent == 1
    with pytest.raises(InputError, match=r"resources.gpus.*4 requested.*2"):
        joined_capacity(TrialResources(1, 4, None), "head")
    cluster.alive.append({"CPU": 4.0, "GPU": 4.0})
    assert joined_capacity(TrialResources(1, 4, None), "head").concurrent == 2, (
        "a node that is alive holds it"
    )


def test_nodes_may_join_a_cluster_without_an_autoscaler_so_that_nothing_is_refused(
    cluster: SimpleNamespace,
) -> None:
    assert joined_capacity(TrialResources(64, 8, None), "head").concurrent == 1


def test_a_launcher_file_tells_the_types_whose_resources_are_known(tmp_path: Path) -> None:
    path = tmp_path / "launcher.yaml"
    path.write_text(yaml.safe_dump({"available_node_types": {
        "head": {"resources": {"CPU": 0}}, "gpu": {"resources": {"CPU": 8, "GPU": 1}, "max_workers": 3},
    }}))  # fmt: skip
    assert types_in_launcher_file(path) == [{"CPU": 8, "GPU": 1}, {"CPU": 0}]


@pytest.mark.parametrize(
    "content",
    ["", "- 1", "available_node_types: {gpu: {}}", "available_node_types: {gpu: {resources: {}}}", "a: ["],
)
def test_a_launcher_file_that_does_not_tell_refuses_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "launcher.yaml"
    path.write_text(content)
    assert types_in_launcher_file(path) is None
    assert types_in_launcher_file(tmp_path / "missing.yaml") is None
