"""The finished search that is confirmed."""

from __future__ import annotations

from pathlib import Path

import pytest
from confirmed_runs import searched_folder

from toprung.search.runs.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run of five trials of two epochs, with a family of its own."""
    return searched_folder(tmp_path)
