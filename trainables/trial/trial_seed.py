"""The seed of a trial's weights, shuffling and augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SEEDS = 2**31


def trial_seed(seed: int, number: int) -> int:
    """The seed of the trial of a number in a search with this seed: distinct for each trial of a search."""
    return (seed * 1_000_003 + number) % _SEEDS


def seed_beside(number: int, seeds: Mapping[int, int]) -> int | None:
    """The seed of a trial of which only the number is known, from other trials' seeds by number.

    None without any, or where they are not those of one search.
    """
    of_search = {(seed - other) % _SEEDS for other, seed in seeds.items()}
    return (of_search.pop() + number) % _SEEDS if len(of_search) == 1 else None
