"""What a search notes about itself, once for each change."""

from __future__ import annotations

from toprung.search.strategy.early_stopping.rung_correlation import RungCorrelation
from toprung.search.strategy.notes import Notes

HELP, MISLEAD = "earlier runs help: 0.5", "earlier runs mislead and are left out: -0.1"


def test_earlier_runs_are_noted_when_the_verdict_changes_and_not_when_only_its_numbers_do() -> None:
    notes = Notes(is_weighted=False)
    for line in (HELP, "earlier runs help: 0.7", MISLEAD, HELP):
        notes.add_prior(line)
    assert notes.lines == [HELP, MISLEAD, HELP]


def test_with_weighted_objectives_earlier_runs_are_noted_once() -> None:
    notes = Notes(is_weighted=True)
    for line in (HELP, MISLEAD, HELP):
        notes.add_prior(line)
    assert notes.lines == [HELP]


def test_a_first_rung_that_moves_is_noted_with_the_rungs_that_mislead() -> None:
    notes = Notes(is_weighted=False)
    notes.add_first_rung(3, 1, [RungCorrelation(1, 3, 30, 0.12, 0.65)])
    notes.add_first_rung(1, 3, [])
    assert notes.lines == [
        "first rung raised to epoch 3: epoch 1 predicts epoch 3 with a rank correlation of 0.12 over 30 trials"
        " (useful from 0.65)",
        "first rung lowered to epoch 1: the lower rungs predict well again",
    ]
