"""The Ray session of a search: what a user sees where it does not start."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from toprung.cluster.session import RayStartError, TrialResources, connected


def test_ray_that_does_not_start_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup.\nThis could happen because ...")

    closed = []
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init, shutdown=lambda: closed.append(True)))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with (
        pytest.raises(RayStartError, match=r"machine: The current node timed out during startup\.$"),
        connected(None, TrialResources(cpus=1, gpus=0, concurrent=None)),
    ):
        pytest.fail("there is no session")
    assert closed, "what Ray had started until then is ended"
