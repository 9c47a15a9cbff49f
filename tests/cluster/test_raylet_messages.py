"""What raylets report is not printed, and Ray still prints it the way that is replaced."""

from __future__ import annotations

import inspect

import pytest
from ray._private import worker

from toprung.cluster.raylet_messages import without_raylet_messages


def test_messages_of_raylets_are_not_printed_and_others_are(capsys: pytest.CaptureFixture[str]) -> None:
    def tell(who: str, text: str) -> None:
        worker.print_to_stdstream({"lines": [text], "pid": who, "is_err": False}, ignore_prefix=True)

    with without_raylet_messages():
        tell("raylet", "a worker died: dump")
        tell("worker", "another line")
    tell("raylet", "printed again")
    assert "dump" not in (printed := capsys.readouterr().out)
    assert "another line" in printed and "printed again" in printed


def test_ray_prints_the_errors_of_raylets_through_the_function_that_is_replaced() -> None:
    source = inspect.getsource(worker.listen_error_messages)
    assert "print_to_stdstream(" in source and '"pid": "raylet"' in source
