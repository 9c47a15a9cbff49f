"""The schemas of a run's tables cost nothing to ask for, and warn of nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from toprung.results.tables import schema
from toprung.results.tables.schema import EPOCHS, TRIALS, run_schemas

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _first_call() -> Iterator[None]:
    schema._schema_of.cache_clear()
    yield
    schema._schema_of.cache_clear()


@pytest.mark.filterwarnings("error")
def test_a_script_that_reads_a_run_sees_no_warning_of_pandas() -> None:
    assert "ended_at" in run_schemas({"learning_rate": "float"})[TRIALS].names


def test_the_schemas_that_each_part_is_held_against_are_made_once() -> None:
    first = run_schemas({})
    made = schema._schema_of.cache_info().misses
    again = run_schemas({})
    assert schema._schema_of.cache_info().misses == made
    assert again[EPOCHS].equals(first[EPOCHS], check_metadata=True)
