"""Where a server cannot listen is told in one line, before a model is loaded."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from toprung.search.cli import main


@pytest.mark.parametrize(
    ("host", "port", "line"),
    [
        ("127.0.0.1", None, "toprung: --port: 127.0.0.1:"),
        ("127.0.0.1", 70_000, "toprung: --port: 127.0.0.1:70000 ("),
        ("no.such.host.invalid", 5000, "toprung: --host: 'no.such.host.invalid' ("),
        ("203.0.113.7", 5000, "toprung: --port: 203.0.113.7:5000 ("),
    ],
    ids=["taken", "no port", "unknown host", "address of another machine"],
)
def test_what_cannot_be_listened_at_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], host: str, port: int | None, line: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = port or taken.getsockname()[1]
        assert main(["serve", str(tmp_path), "--host", host, "--port", str(number)]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(line)
