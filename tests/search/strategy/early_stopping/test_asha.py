"""Rungs and decisions, without a sampler."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toprung.search.strategy.early_stopping.asha import Decision, SuccessiveHalving

SCORES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=90)


def decisions(scores: list[float], factor: int = 3) -> list[Decision]:
    halving = SuccessiveHalving((1, 3), factor)
    made = [halving.report(number, 1, score) for number, score in enumerate(scores)]
    return [one.decision for one in made if one is not None]


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
    assert late[:15].count(Decision.KEEP) == 0, "the latest results are still those of the fast ones"
    kept = late[30:].count(Decision.KEEP)
    # Of 30 shuffled scores about a third is in the top third of the latest 27: ten, give or take.
    assert 6 <= kept <= 14


def test_promotion_finds_slow_starters_too() -> None:
    halving = SuccessiveHalving((1, 3), 3, pauses=True)
    for number in range(60):
        halving.report(number, 1, 0.5 if number < 30 else 0.2)
    halving.paused.intersection_update(range(30, 60))
    assert halving.promotable() in halving.paused


def test_equal_scores_do_not_flood_the_next_rung() -> None:
    assert decisions([0.1] * 9).count(Decision.KEEP) == 2


def test_a_trial_kept_for_lack_of_peers_is_compared_again_once_they_are_there() -> None:
    halving = SuccessiveHalving((2, 6, 18), 3)
    assert halving.report(0, 1, 0.5) is None
    first = halving.report(0, 2, 0.5)
    assert first is not None and first.decision is Decision.KEEP
    assert halving.report(0, 3, 0.5) is None
    for number in (1, 2):
        halving.report(number, 2, 0.8)
    late = halving.report(0, 4, 0.7)
    assert late is not None and late.decision is Decision.STOP
    assert (late.rung, late.score, late.cutoff, late.peers) == (2, 0.7, 0.8, 3)


def test_a_trial_that_has_caught_up_since_its_rung_goes_on() -> None:
    halving = SuccessiveHalving((2, 6, 18), 3)
    halving.report(0, 2, 0.5)
    for number in (1, 2):
        halving.report(number, 2, 0.8)
    assert halving.report(0, 4, 0.9) is None
    later = halving.report(0, 5, 0.6)
    assert later is not None and later.decision is Decision.STOP, "its best score so far does not keep it"


def test_a_trial_that_skips_a_rung_counts_at_the_highest_one_it_passed() -> None:
    halving = SuccessiveHalving((1, 3, 9), 3)
    late = halving.report(1, 4, 0.7)
    assert late is not None and late.rung == 3
    assert halving.reached(1) == 3


def test_the_last_rung_cuts_no_trial() -> None:
    halving = SuccessiveHalving((2,), 3)
    made = [halving.report(number, 2, -float(number)) for number in range(10)]
    assert {one.decision for one in made if one} == {Decision.KEEP}


def test_promotion_resumes_the_best_waiting_trial_of_the_highest_rung_within_its_share() -> None:
    halving = SuccessiveHalving((1, 3, 9), 3, pauses=True)
    for number, score in enumerate([0.1, 0.9, 0.5, 0.8, 0.2, 0.3]):
        paused = halving.report(number, 1, score)
        assert paused is not None and paused.decision is Decision.PAUSE
    assert halving.paused == set(range(6))
    for best in (1, 3):
        assert halving.promotable() == best
        halving.paused.discard(best)
    assert halving.promotable() is None
    halving.report(6, 1, 0.0), halving.report(7, 1, 0.0), halving.report(8, 1, 0.0)
    assert halving.promotable() == 2, "three more results give one more place"


def test_a_trial_that_reports_again_was_promoted() -> None:
    halving = SuccessiveHalving((1, 3, 9), 3, pauses=True)
    halving.report(0, 1, 0.5)
    assert halving.paused == {0}
    assert halving.report(0, 2, 0.6) is None
    assert halving.paused == set()
    halving.report(0, 3, 0.7)
    assert halving.paused == {0}


def test_the_best_paused_trial_is_of_the_highest_rung_until_one_was_fully_trained() -> None:
    halving = SuccessiveHalving((1, 3, 9), 3, pauses=True)
    assert halving.best_paused() is None
    for number, epoch, score in [(0, 1, 0.9), (1, 1, 0.5), (1, 3, 0.6), (2, 1, 0.1), (2, 3, 0.7)]:
        halving.report(number, epoch, score)
    assert halving.best_paused() == 2
    halving.report(1, 9, 0.8)
    assert halving.best_paused() is None


def test_the_best_trials_that_keep_the_bounds_are_kept_whatever_the_others_score() -> None:
    halving = SuccessiveHalving((1, 3), 3, is_bounded=True)
    for number in range(30):
        halving.report(number, 1, 0.9, keeps_bounds=False)
    scores = [0.1, 0.2, 0.15, 0.3, 0.05, 0.25, 0.12]
    made = [halving.report(30 + number, 1, score) for number, score in enumerate(scores)]
    # Of 1 to 5 trials the best is kept, of 6 and 7 the best two.
    assert [one is not None and one.decision is Decision.KEEP for one in made] == [
        *(True, True, False, True, False),
        *(True, False),
    ]


def test_a_trial_that_keeps_the_bounds_only_later_is_compared_with_those_that_do_from_then_on() -> None:
    halving = SuccessiveHalving((1, 9), 3, is_bounded=True)
    halving.report(0, 1, 0.1, keeps_bounds=False)
    for number in range(1, 6):
        halving.report(number, 1, 0.9, keeps_bounds=False)
    assert halving.report(0, 2, 0.2, keeps_bounds=True) is None, "the only one that keeps them"
    assert halving.report(0, 3, 0.1, keeps_bounds=False) is None, "it once did"
    halving.report(6, 1, 0.5, keeps_bounds=True)
    late = halving.report(0, 4, 0.3, keeps_bounds=True)
    assert late is not None and late.decision is Decision.STOP


@given(SCORES, st.integers(2, 5))
def test_bounds_that_all_trials_keep_change_no_decision(scores: list[float], factor: int) -> None:
    bounded = SuccessiveHalving((1, 3), factor, is_bounded=True)
    made = [bounded.report(number, 1, score) for number, score in enumerate(scores)]
    assert [one.decision for one in made if one is not None] == decisions(scores, factor)


def test_promotion_resumes_the_best_trial_that_keeps_the_bounds_first() -> None:
    halving = SuccessiveHalving((1, 3, 9), 3, pauses=True, is_bounded=True)
    for number, score in enumerate([0.9, 0.8, 0.7, 0.2, 0.1, 0.3]):
        halving.report(number, 1, score, keeps_bounds=number in (3, 4))
    for best in (3, 0, 1):
        assert halving.promotable() == best
        halving.paused.discard(best)
    assert halving.promotable() is None
    assert halving.best_paused() == 4


def test_a_failed_trial_leaves_those_that_keep_the_bounds() -> None:
    halving = SuccessiveHalving((1, 3), 3, is_bounded=True)
    for number in range(9):
        halving.report(number, 1, 0.9, keeps_bounds=False)
    halving.report(9, 1, 0.5)
    halving.forget(9)
    kept = halving.report(10, 1, 0.1)
    assert kept is not None and kept.decision is Decision.KEEP
