"""Rungs and decisions, without a sampler."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toprung.search.strategy.early_stopping.asha import Decision, SuccessiveHalving
from toprung.search.strategy.early_stopping.rung import milestone, rung_epochs

SCORES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=90)


def decisions(scores: list[float], factor: int = 3) -> list[Decision]:
    ladder = SuccessiveHalving((1, 3), factor)
    verdicts = [ladder.report(number, 1, score) for number, score in enumerate(scores)]
    return [verdict.decision for verdict in verdicts if verdict is not None]


def test_rungs_are_powers_of_the_factor_and_the_full_training() -> None:
    assert rung_epochs(50, 3) == (1, 3, 9, 27, 50)
    assert rung_epochs(27, 3) == (1, 3, 9, 27)
    assert rung_epochs(16, 4, min_epochs=2) == (2, 8, 16)
    assert rung_epochs(1, 3) == (1,)


@given(SCORES, st.integers(2, 5))
def test_nothing_is_cut_on_fewer_results_than_the_factor(scores: list[float], factor: int) -> None:
    assert set(decisions(scores, factor)[: factor - 1]) <= {Decision.KEEP}


@given(SCORES, st.integers(2, 5))
def test_a_trial_is_kept_exactly_when_it_is_in_the_top_share_of_all_or_of_the_latest(
    scores: list[float], factor: int
) -> None:
    for number, decision in enumerate(decisions(scores, factor)):
        results = number + 1
        # A tie is settled for the earlier trial, so every earlier equal score counts as better.
        better = [score >= scores[number] for score in scores[:number]]
        kept = results < factor or sum(better) < max(1, results // factor)
        if results > 9 * factor:
            kept = kept or sum(better[-(9 * factor - 1) :]) < 9
        assert (decision is Decision.KEEP) == kept


def test_the_cut_does_not_go_stale_when_later_trials_start_slower() -> None:
    fast, slow = [0.5 + 0.001 * n for n in range(60)], [0.2 + 0.001 * (n * 7 % 60) for n in range(60)]
    late = decisions([*fast, *slow])[60:]
    assert late[:15].count(Decision.KEEP) == 0, "the fast ones still fill the latest results"
    kept = late[30:].count(Decision.KEEP)
    # Of 30 shuffled scores about a third stands in the top third of the latest 27: ten, give or take.
    assert 6 <= kept <= 14


def test_promotion_finds_slow_starters_too() -> None:
    ladder = SuccessiveHalving((1, 3), 3, pauses=True)
    for number in range(60):
        ladder.report(number, 1, 0.5 if number < 30 else 0.2)
    ladder.paused.intersection_update(range(30, 60))
    assert ladder.promotable() in ladder.paused


def test_equal_scores_do_not_flood_the_next_rung() -> None:
    assert decisions([0.1] * 9).count(Decision.KEEP) == 2


def test_a_trial_let_through_for_want_of_peers_is_judged_once_they_are_there() -> None:
    ladder = SuccessiveHalving((2, 6, 18), 3)
    assert ladder.report(0, 1, 0.5) is None
    first = ladder.report(0, 2, 0.5)
    assert first is not None and first.decision is Decision.KEEP
    assert ladder.report(0, 3, 0.5) is None
    for number in (1, 2):
        ladder.report(number, 2, 0.8)
    late = ladder.report(0, 4, 0.7)
    assert late is not None and late.decision is Decision.STOP
    assert (late.rung, late.score, late.cutoff, late.peers) == (2, 0.7, 0.8, 3)


def test_a_trial_that_has_caught_up_since_its_rung_goes_on() -> None:
    ladder = SuccessiveHalving((2, 6, 18), 3)
    ladder.report(0, 2, 0.5)
    for number in (1, 2):
        ladder.report(number, 2, 0.8)
    assert ladder.report(0, 4, 0.9) is None
    later = ladder.report(0, 5, 0.6)
    assert later is not None and later.decision is Decision.STOP, "what it once had does not hold it"


def test_a_skipped_rung_is_made_up_for_at_the_highest_one_passed() -> None:
    ladder = SuccessiveHalving((1, 3, 9), 3)
    late = ladder.report(1, 4, 0.7)
    assert late is not None and late.rung == 3
    assert ladder.reached(1) == 3


def test_the_last_rung_cuts_nobody() -> None:
    ladder = SuccessiveHalving((2,), 3)
    verdicts = [ladder.report(number, 2, -float(number)) for number in range(10)]
    assert {verdict.decision for verdict in verdicts if verdict} == {Decision.KEEP}


def test_promotion_resumes_the_best_waiting_trial_of_the_highest_rung_within_its_share() -> None:
    ladder = SuccessiveHalving((1, 3, 9), 3, pauses=True)
    for number, score in enumerate([0.1, 0.9, 0.5, 0.8, 0.2, 0.3]):
        verdict = ladder.report(number, 1, score)
        assert verdict is not None and verdict.decision is Decision.PAUSE
    assert ladder.paused == set(range(6))
    for best in (1, 3):
        assert ladder.promotable() == best
        ladder.paused.discard(best)
    assert ladder.promotable() is None
    ladder.report(6, 1, 0.0), ladder.report(7, 1, 0.0), ladder.report(8, 1, 0.0)
    assert ladder.promotable() == 2, "three more results are one more place"


def test_a_trial_that_reports_again_was_promoted() -> None:
    ladder = SuccessiveHalving((1, 3, 9), 3, pauses=True)
    ladder.report(0, 1, 0.5)
    assert ladder.paused == {0}
    assert ladder.report(0, 2, 0.6) is None
    assert ladder.paused == set()
    ladder.report(0, 3, 0.7)
    assert ladder.paused == {0}


def test_the_foremost_is_the_best_of_the_highest_rung_until_one_was_fully_trained() -> None:
    ladder = SuccessiveHalving((1, 3, 9), 3, pauses=True)
    assert ladder.best_paused() is None
    for number, epoch, score in [(0, 1, 0.9), (1, 1, 0.5), (1, 3, 0.6), (2, 1, 0.1), (2, 3, 0.7)]:
        ladder.report(number, epoch, score)
    assert ladder.best_paused() == 2
    ladder.report(1, 9, 0.8)
    assert ladder.best_paused() is None


def test_milestones_grow_by_a_quarter() -> None:
    assert [milestone(count) for count in (0, 3, 4, 5, 9, 10, 11, 12)] == [0, 0, 4, 5, 8, 10, 10, 12]
