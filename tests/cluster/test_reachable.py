"""Whether a machine answers, asked of the machine itself."""

from __future__ import annotations

import socket
import time

from toprung.cluster.reachable import DeadNodes, answers


def test_a_port_answers_while_something_listens_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        assert answers(address)
    assert not answers(address)


def test_a_machine_that_is_gone_answers_not_within_its_time() -> None:
    began = time.monotonic()
    assert not answers("192.0.2.1:6379", secs=0.2), "an address that is given to no machine"
    assert time.monotonic() - began < 5


def test_what_is_no_address_answers_not() -> None:
    for address in ("", "nowhere", "127.0.0.1:", "127.0.0.1:port", "127.0.0.1:99999"):
        assert not answers(address)


def test_a_node_that_did_not_answer_is_not_asked_again_for_a_moment() -> None:
    asked, now_secs, reachable = [], [0.0], {"a"}
    dead = DeadNodes(lambda node: asked.append(node) is None and node in reachable, lambda: now_secs[0])
    assert "a" not in dead and "a" not in dead
    assert "b" in dead and "b" in dead
    assert asked == ["a", "a", "b"]
    now_secs[0], reachable = 11.0, {"a", "b"}
    assert "b" not in dead, "its network is back"
