"""A user's code that ends the process, interrupts it or prints at its import is one line, and Ctrl-C stays Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import optuna
import pytest

from toprung.spaces.errors import InputError
from toprung.spaces.families.registry import Space, load_space
from toprung.spaces.user_code.errors import errors_of_first_run, errors_of_user_code
from toprung.spaces.user_code.interrupts import interrupts_noted

NATIVE = (
    b"2026-01-01 10:00:00.123456: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.\n"
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    b"E0000 00:00:1767261600.123456   12345 cuda_dnn.cc:8310] Unable to register cuDNN factory\n"
    b"To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow.\n"
)


@pytest.mark.parametrize("ends", ["KeyboardInterrupt", "SystemExit(3)", "GeneratorExit", "ValueError('x')"])
def test_whatever_the_code_raises_is_one_line_of_where_it_was_called(ends: str) -> None:
    with pytest.raises(InputError) as caught, errors_of_user_code("space.name", "mine.py fails", "mend it"):
        raise eval(ends)
    (problem,) = caught.value.problems
    assert str(problem).startswith("space.name: mine.py fails: ") and ends.partition("(")[0] in str(problem)


def test_ctrl_c_while_the_code_runs_interrupts_the_command() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), errors_of_user_code("space.name", "mine.py fails", "mend it"):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_handler_that_the_code_sets_stays_and_an_ignored_signal_stays_ignored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    mine = lambda *_: None  # noqa: E731
    try:
        with interrupts_noted():
            signal.signal(signal.SIGTERM, mine)
        assert signal.getsignal(signal.SIGTERM) is mine
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with interrupts_noted() as received:
            signal.raise_signal(signal.SIGTERM)
        assert not received and signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_thread_has_no_signals() -> None:
    noted: list[object] = []

    def run() -> None:
        with interrupts_noted() as received:
            noted.append(tuple(received))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert noted == [()]


@pytest.mark.parametrize("ends", ["KeyboardInterrupt", "SystemExit(5)"])
def test_a_space_that_ends_the_process_for_some_values_only_is_an_error_in_the_search_too(
    ends: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "def space(trial):\n    rate = trial.suggest_float('rate', 0, 1)\n"
        f"    if rate == 0.5: raise {ends}\n    return {{'rate': rate}}\n"
    )
    space = load_space(f"{path}:space")
    assert isinstance(space, Space)
    assert space(optuna.trial.FixedTrial({"rate": 0.25}))["rate"] == 0.25
    with pytest.raises(InputError, match=rf"space\.name: .*mine\.py:space fails: {ends.partition('(')[0]}"):
        space(optuna.trial.FixedTrial({"rate": 0.5}))


def test_tensorflows_start_lines_are_dropped_and_all_others_are_kept(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with errors_of_first_run("space.name", "mine.py fails", "mend it"):
        os.write(2, NATIVE)
        print("my own warning", file=sys.stderr)
        os.write(2, b"libcuda.so: cannot open\n")
    print("afterwards", file=sys.stderr)
    assert capfd.readouterr().err.splitlines() == ["my own warning", "libcuda.so: cannot open", "afterwards"]


def test_what_was_written_before_an_error_is_shown(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with pytest.raises(InputError), errors_of_first_run("space.name", "mine.py fails", "mend it"):
        os.write(2, NATIVE + b"F0000 00:00:1767261600.123456 1 x.cc:1] fatal\nwithout an end")
        raise RuntimeError
    assert capfd.readouterr().err == "F0000 00:00:1767261600.123456 1 x.cc:1] fatal\nwithout an end"
