"""The Ray session of a search: what a user sees where it does not start."""

from __future__ import annotations

import socket
import sys
import time
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from toprung.cluster.local_ray import RayStartError
from toprung.cluster.session import ClusterUnreachableError, TrialResources, connected


@pytest.fixture(autouse=True)
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toprung.cluster.session.without_raylet_messages", nullcontext)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_ray_that_does_not_start_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup.\nThis could happen because ...")

    closed = []
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init, shutdown=lambda: closed.append(True)))
    with (
        pytest.raises(RayStartError, match=r"machine: The current node timed out during startup\.$"),
        connected(None, TrialResources(cpus=1, gpus=0, concurrent=None)),
    ):
        pytest.fail("there is no session")
    assert closed, "what Ray had started until then is ended"


def test_a_cluster_that_has_ended_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ended:
        address = f"127.0.0.1:{ended.getsockname()[1]}"
    monkeypatch.setattr("toprung.cluster.session.latest_cluster", lambda: address)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=pytest.fail, shutdown=lambda: None))
    began_secs = time.monotonic()
    with (
        pytest.raises(
            ClusterUnreachableError, match=f"^no Ray cluster answers at auto: nothing listens at {address} "
        ),
        connected("auto", TrialResources(cpus=1, gpus=0, concurrent=None)),
    ):
        pytest.fail("there is no session")
    assert time.monotonic() - began_secs < 30, "Ray itself tries for five minutes"
