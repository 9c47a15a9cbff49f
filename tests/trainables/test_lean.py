"""A library is left out in the block, and there again after it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trainables.lean import without

ROOT = Path(__file__).parents[2]


def test_a_library_is_left_out_in_the_block_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with without("wave"), pytest.raises(ModuleNotFoundError):
        import wave
    import wave

    with without("wave"):
        import wave as again
    assert again is wave, "what was imported before stays"


def test_it_comes_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with pytest.raises(ValueError, match="broken"), without("wave"):
        raise ValueError("broken")
    assert "wave" not in sys.modules


@pytest.mark.slow
def test_keras_trains_without_what_it_takes_along() -> None:
    code = """
import sys
from trainables.lean import NOT_FOR_TRAINING, without
with without(*NOT_FOR_TRAINING):
    import keras
assert not set(NOT_FOR_TRAINING) & set(sys.modules)
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("adam", "mse")
import numpy as np
model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
import matplotlib, sklearn, pandas
print("done")
"""
    env = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.stdout.strip().endswith("done"), done.stderr[-2000:]
