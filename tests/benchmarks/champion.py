"""Whether the champion ever moves to a worse model: searches on real images, whose trials are retrained in any order.

    python tests/benchmarks/champion.py [--searches 20] [--models 6]

Each search trains eight configurations on the digits; six of them, drawn at random, are then trained on train +
validation, tested, and decided on as `toprung retrain` does. A champion that is worse than an earlier one by more than
the 95% interval of the change on the same test images, here by resampling them, makes the exit code 1. Takes a minute
or two.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

from warm_searches import WarmSearches


def main() -> int:
    """Search, retrain, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--searches", type=int, default=20)
    parser.add_argument("--models", type=int, default=6)
    options = parser.parse_args()
    searches = WarmSearches()
    with tempfile.TemporaryDirectory(prefix="toprung-") as home:
        found = [
            searches.run(str(Path(home, str(seed))), seed, options.models) for seed in range(options.searches)
        ]
    for seed, each in enumerate(found):
        told = ", ".join(
            f"{scores.mean():.3f}{' champion' if name in each.champions else ''}"
            for name, scores in each.scores.items()
        )
        print(f"search {seed:2}  test accuracy in order: {told}")
    moves = sum(len(each.champions) - 1 for each in found)
    kept = sum(len(each.decisions) - len(each.champions) for each in found)
    losses = [loss for each in found for loss in each.losses]
    worse = sum(high < 0.0 for _, high in losses)
    largest = min((change for change, _ in losses), default=0.0)
    print(
        f"{len(found)} searches: the champion moved {moves} times and stayed {kept} times; against all champions "
        f"before it, the least it scores more is {largest:+.4f}; worse beyond the interval: {worse}"
    )
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
