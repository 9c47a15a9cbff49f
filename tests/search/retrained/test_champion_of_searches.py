"""Searches on real images whose trials are retrained in any order; `tests/benchmarks/champion.py` tries twenty."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_champion_never_moves_to_a_worse_model_beyond_its_interval(tmp_path: Path) -> None:
    from warm_searches import WarmSearches  # here, as it brings what only slow tests need

    searches = WarmSearches()
    found = [searches.run(str(tmp_path / str(seed)), seed, models=6) for seed in range(2)]
    assert all(high >= 0.0 for each in found for _, high in each.losses)
    assert any(len(each.champions) > 1 for each in found), "some were better than the first"
    assert any(len(each.champions) < len(each.decisions) for each in found), "some were worse"
