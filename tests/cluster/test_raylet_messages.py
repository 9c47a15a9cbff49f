"""What raylets report is not printed, and Ray still prints it the way that is replaced."""

from __future__ import annotations

import inspect
import os

import pytest
from ray._private import worker

from toprung.cluster.raylet_messages import UNHANDLED, without_raylet_messages


def test_messages_of_raylets_are_not_printed_and_others_are(capsys: pytest.CaptureFixture[str]) -> None:
    def tell(who: str, text: str) -> None:
        worker.print_to_stdstream({"lines": [text], "pid": who, "is_err": False}, ignore_prefix=True)

    with without_raylet_messages():
        tell("raylet", "a worker died: dump")
        tell("worker", "another line")
    tell("raylet", "printed again")
    assert "dump" not in (printed := capsys.readouterr().out)
    assert "another line" in printed and "printed again" in printed


@pytest.mark.parametrize("before", [None, "0"])
def test_ray_prints_no_error_that_nothing_waits_for_and_keeps_the_users_own_setting(
    before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(UNHANDLED, raising=False)
    if before is not None:
        monkeypatch.setenv(UNHANDLED, before)
    with without_raylet_messages():
        assert UNHANDLED in os.environ
    assert os.environ.get(UNHANDLED) == before
    assert f'"{UNHANDLED}" in os.environ' in inspect.getsource(worker.Worker.raise_errors)


def test_ray_prints_the_errors_of_raylets_through_the_function_that_is_replaced() -> None:
    source = inspect.getsource(worker.listen_error_messages)
    assert "print_to_stdstream(" in source and '"pid": "raylet"' in source
