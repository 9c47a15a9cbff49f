"""Configurations are of plain Python types, whatever a space computes with."""

from __future__ import annotations

import enum
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from toprung.spaces.definition.plain_values import plain, plain_config


class Mode(str, enum.Enum):  # noqa: UP042 - its str() is not its text, unlike a StrEnum's
    FAST = "fast"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("relu"), "relu"),
        (Mode.FAST, "fast"),
        (0.1, 0.1),
        (None, None),
        ([1, 2], [1, 2]),
    ],
)
def test_a_value_becomes_plain(value: Any, expected: Any) -> None:
    result = plain(value)
    assert result == expected
    assert type(result) is type(expected)


def test_a_configuration_becomes_plain() -> None:
    config = plain_config({"rate": np.float64(0.1), "name": Mode.FAST})
    assert config == {"rate": 0.1, "name": "fast"}
    assert {type(value) for value in config.values()} == {float, str}


def test_numpy_is_not_imported_for_it() -> None:
    code = (
        "import sys; from toprung.spaces.definition.plain_values import plain\n"
        "print(plain(1.5), plain('a'), 'numpy' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.split() == ["1.5", "a", "False"]
