"""A library is left out in the block, and there again after it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from toprung.trainables.system.imports import block_imports, imports_not_needed_for_training, keras_backend

ROOT = Path(__file__).parents[3]


def test_a_library_is_left_out_in_the_block_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with block_imports("wave"), pytest.raises(ModuleNotFoundError):
        import wave
    import wave

    with block_imports("wave"):
        import wave as again
    assert again is wave, "what was imported before stays"


def test_it_comes_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with pytest.raises(ValueError, match="broken"), block_imports("wave"):
        raise ValueError("broken")
    assert "wave" not in sys.modules


@pytest.mark.parametrize(
    ("variable", "file", "backend"),
    [
        ("jax", '{"backend": "tensorflow"}', "jax"),
        ("", '{"backend": "jax"}', "jax"),
        ("", '{"backend"', "tensorflow"),
        ("", "[]", "tensorflow"),
        ("", None, "tensorflow"),
    ],
)
def test_jax_stays_where_keras_computes_with_it(
    variable: str, file: str | None, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", variable)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if file is not None:
        (tmp_path / "keras.json").write_text(file)
    assert keras_backend() == backend
    assert ("jax" in imports_not_needed_for_training()) == (backend != "jax")


def run_python(code: str) -> str:
    env = {"TF_CPP_MIN_LOG_LEVEL": "3", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.mark.slow
def test_keras_trains_in_a_claimed_process_without_what_it_takes_along() -> None:
    printed = run_python("""
import gc, sys
from toprung.trainables.system.imports import claim_process, import_keras, imports_not_needed_for_training
claim_process()
import_keras()
assert not set(imports_not_needed_for_training()) & set(sys.modules)
assert gc.isenabled()
import keras
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("adam", "mse")
import numpy as np
model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
import matplotlib, sklearn, pandas, jax
print("done")
""")
    assert printed.endswith("done")


@pytest.mark.slow
def test_a_process_of_the_user_gets_the_whole_of_keras() -> None:
    printed = run_python("""
import sys
from toprung.trainables.system.imports import import_keras
import_keras()
import keras
keras.wrappers.SKLearnClassifier
print("sklearn" in sys.modules)
""")
    assert printed == "True"
