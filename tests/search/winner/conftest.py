"""A retrained model that the tests of kept models share: each process trains it once."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def kept_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with one retrained model, its champion."""
    from kept_digits import keep_digits  # here, as it brings what only slow tests need

    folder = tmp_path_factory.mktemp("runs") / "digits"
    keep_digits(folder)
    return folder
