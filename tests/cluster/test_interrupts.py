"""An interrupt at a bad moment is handled a moment later, and the process keeps its own handlers."""

from __future__ import annotations

import signal
import threading

import pytest

from toprung.cluster.interrupts import defer_interrupts, restore_signal_handlers


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    reached = False
    with pytest.raises(KeyboardInterrupt), defer_interrupts():
        signal.raise_signal(signal.SIGINT)
        reached = True
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interrupt_breaks_in_at_once() -> None:
    reached = False
    with pytest.raises(KeyboardInterrupt), defer_interrupts():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        reached = True
    assert not reached


def test_an_error_within_goes_before_the_interrupt() -> None:
    with pytest.raises(ValueError, match="bad"), defer_interrupts():
        signal.raise_signal(signal.SIGINT)
        raise ValueError("bad")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_ignored_stays_ignored_and_a_thread_changes_nothing() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with defer_interrupts():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    entered = []

    def enter() -> None:
        with defer_interrupts():
            entered.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [before]


def test_handlers_that_a_library_installs_do_not_stay() -> None:
    found = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)
    with defer_interrupts(), restore_signal_handlers(signal.SIGUSR1):
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, lambda *_: None)  # as Ray does, to end the process with
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)) == found
