"""Code of the user that does not come back is named, and ended by Ctrl-C."""

from __future__ import annotations

import logging
import threading
from functools import partial
from pathlib import Path

import pytest

from toprung.search.cli import main
from toprung.spaces.user_code import references
from toprung.spaces.user_code.slow_code import told_if_slow


def test_what_takes_long_is_said_once_and_what_does_not_is_not(caplog: pytest.LogCaptureFixture) -> None:
    with told_if_slow("a.py is being imported", slow_secs=60.0):
        pass
    assert not caplog.records
    with caplog.at_level(logging.WARNING, "toprung"), told_if_slow("b.py is being imported", slow_secs=0.0):
        for thread in threading.enumerate():
            if isinstance(thread, threading.Timer):
                thread.join()
    assert [record.getMessage() for record in caplog.records] == [
        "b.py is being imported, for 0 seconds by now; Ctrl-C ends it"
    ]


@pytest.mark.parametrize("command", ["check", "search"])
def test_an_import_that_hangs_is_named_and_ended_by_an_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (tmp_path / "mine.py").write_text(
        "import os, signal, threading, time\n"
        "threading.Timer(1.0, os.kill, [os.getpid(), signal.SIGINT]).start()\n"
        "while True:\n    time.sleep(0.01)\n"
    )
    (tmp_path / "job.yaml").write_text(
        f"data: digits\nspace: {{name: mine.py:space}}\nstorage: {{path: {tmp_path}/runs}}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(references, "told_if_slow", partial(told_if_slow, slow_secs=0.1))
    assert main([command, "job.yaml"]) == 130
    told = capsys.readouterr()
    assert (
        f"note: {tmp_path}/mine.py (space.name) is being imported, for 0 seconds by now; Ctrl-C ends it"
        in told.out
    )
    assert told.err.count("\n") == 1 and "interrupted" in told.err
