"""How far a search leans on its first configurations: as far as its own results agree with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from toprung.search.strategy.surrogate.evidence import Evidence

PSEUDO_PAIRS = 1.0  # comparisons that a first configuration is given as won, before there are any


def trust_in(base: int, others: Iterable[int], evidence: Evidence) -> float:
    """The share of random trials that a first configuration beats, in [0, 1]: 1 before anything is known of both.

    They are compared at the lowest rung, which all reach. Ties count half, and a trial that failed is worse than any.

    Args:
        base: The number of the trial of the first configuration.
        others: The numbers of the trials that were drawn at random.
        evidence: The results so far.
    """
    scores: Mapping[int, float] = evidence.rungs[0].scores if evidence.rungs else {}
    known = [number for number in others if number in scores]
    if base in evidence.failed:
        won = 0.0
    elif base in scores:
        won = sum(0.5 + 0.5 * _sign(scores[base] - scores[number]) for number in known)
    else:
        return 1.0
    return (PSEUDO_PAIRS + won) / (PSEUDO_PAIRS + len(known))


def _sign(difference: float) -> float:
    return float(difference > 0.0) - float(difference < 0.0)
