"""What the library logs is printed while a command runs: notes marked as such, progress as it is."""

from __future__ import annotations

import logging

import pytest

from toprung.search.commands.console_log import log_on_console


def test_notes_and_progress_are_printed_for_the_length_of_a_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log, progress = logging.getLogger("toprung"), logging.getLogger("toprung.progress")
    before = log.level, list(log.handlers), log.propagate
    with log_on_console():
        log.warning("2 images are unreadable")
        log.info("first rung raised")
        log.debug("not for people")
        progress.info("5 s: 1/4 trials")
    assert capsys.readouterr().out.splitlines() == [
        "note: 2 images are unreadable",
        "note: first rung raised",
        "5 s: 1/4 trials",
    ]
    assert (log.level, list(log.handlers), log.propagate) == before


def test_a_password_in_a_line_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with log_on_console():
        logging.getLogger("toprung").warning("no answer from http://user:secret@store:9000/x?token=secret")
    assert capsys.readouterr().out == "note: no answer from http://***@store:9000/x?token=***\n"


def test_a_broken_pipe_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", fail)
    with pytest.raises(BrokenPipeError), log_on_console():
        logging.getLogger("toprung").warning("nobody reads this")
