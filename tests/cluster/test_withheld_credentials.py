"""Ray Tune's workers start without the driver's AWS keys, which Ray would write to its logs."""

from __future__ import annotations

import pytest
from ray.tune.execution import class_cache

from toprung.cluster.withheld_credentials import aws_keys_withheld


def environment_of_workers(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What Ray Tune puts into the runtime environment of its workers."""
    given: dict[str, str] = {}

    def remote(runtime_env: dict[str, dict[str, str]]) -> type:
        given.update(runtime_env["env_vars"])
        return lambda cls: cls  # type: ignore[return-value]

    monkeypatch.setattr("ray.remote", remote)
    class_cache._ActorClassCache().get(object)
    return given


def test_keys_are_withheld_and_the_rest_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("RAY_CHDIR_TO_TRIAL_DIR", "0")
    with aws_keys_withheld():
        withheld = environment_of_workers(monkeypatch)
    assert not any(name.startswith("AWS_") for name in withheld)
    assert withheld["RAY_CHDIR_TO_TRIAL_DIR"] == "0"
    assert environment_of_workers(monkeypatch)["AWS_SECRET_ACCESS_KEY"] == "secret"
