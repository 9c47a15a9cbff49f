"""How a search ended is read back as it was written; without it, or damaged, there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from toprung.results.tracking.search_end import END_FILE, SearchEnd


def test_an_end_is_read_back_and_forgotten(tmp_path: Path) -> None:
    end = SearchEnd.now("KILLED", "interrupted")
    end.write(tmp_path)
    assert SearchEnd.read(tmp_path) == end
    for _ in range(2):
        SearchEnd.forget(tmp_path)
    assert SearchEnd.read(tmp_path) is None


@pytest.mark.parametrize(
    "content", ["", "{}", "[1]", '{"status": "DONE", "ended_at": "2026-03-01", "reason": ""}']
)
def test_a_damaged_end_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / END_FILE).write_text(content)
    assert SearchEnd.read(tmp_path) is None
