"""First configurations that are right and wrong, for `quality.py --priors`: what a search gains and loses by them.

Of so many random configurations the right prior has the best, the wrong one the worst, by the value after the full
training that no search can know. A search proposes them first, and others near them until it has a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from toprung.search.strategy.sampling.points import subseed
from toprung.search.strategy.sampling.samplers import sample
from toprung.search.strategy.strategy import Strategy

DRAWN = 64  # random configurations, anew for each seed
FIRST = 3  # of them that a search tries first, as many as the space "cnn" names


def with_prior(is_right: bool) -> Callable[[Any, int], Strategy]:
    """The default strategy with the best or the worst of random configurations to try first."""

    def make(blackbox: Any, seed: int) -> Strategy:
        ordered = by_final_value(blackbox, seed)
        initial = ordered[:FIRST] if is_right else ordered[-FIRST:]
        return Strategy.for_space(blackbox.space, blackbox.max_epochs, seed, initial_configs=initial)

    return make


def by_final_value(blackbox: Any, seed: int) -> list[dict[str, Any]]:
    """Random configurations, the best first; those that diverge are the last."""
    drawn = [
        sample(blackbox.space, "random", subseed("prior", seed), number).config for number in range(DRAWN)
    ]
    finals = np.array([blackbox.curve(config)[0][-1] for config in drawn])
    return [drawn[index] for index in np.argsort(-np.nan_to_num(finals, nan=-np.inf), kind="stable")]


PRIORS: Mapping[str, Callable[[Any, int], Strategy]] = {
    f"right prior: the best {FIRST} of {DRAWN}": with_prior(True),
    f"wrong prior: the worst {FIRST} of {DRAWN}": with_prior(False),
}
