"""A head that is gone for long is noticed once, one that comes back in time is not."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from toprung.cluster.head_watch import watch_head


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toprung.cluster.head_watch.LOOK_EVERY_SECS", 0.05)
    monkeypatch.setattr("toprung.cluster.head_watch.GONE_SECS", 0.5)


def listening(port: int = 0) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def test_a_head_that_is_gone_is_noticed_once() -> None:
    head, gone, times = listening(), threading.Event(), []
    address = f"127.0.0.1:{head.getsockname()[1]}"
    with watch_head(address, lambda: (times.append(1), gone.set())):
        assert not gone.wait(0.8)
        head.close()
        assert gone.wait(10)
        time.sleep(0.3)
    assert times == [1]


def test_a_head_that_is_back_in_time_is_not_missed() -> None:
    head, gone = listening(), threading.Event()
    port = head.getsockname()[1]
    with watch_head(f"127.0.0.1:{port}", gone.set):
        head.close()
        time.sleep(0.2)
        with listening(port):
            assert not gone.wait(1.0)


def test_nothing_is_watched_after_the_block() -> None:
    head, gone = listening(), threading.Event()
    with watch_head(f"127.0.0.1:{head.getsockname()[1]}", gone.set):
        pass
    head.close()
    assert not gone.wait(1.0)
