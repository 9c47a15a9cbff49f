"""What the strategy costs the driver: milliseconds per proposal and report, bytes per trial, reports a second.

Each proposal follows a trial's reports to its end, as in a search, so that the models have changed in between; what
the driver works out ahead, while no worker waits, is told apart.

Times are of the processor, on one thread, so that a busy machine measures what an idle one does.

python tests/benchmarks/strategy_cost.py --finished 10000 --running 1000
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import tracemalloc
from collections import deque
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from toprung.search.simulation.simulator import simulate
from toprung.search.strategy.strategy import Decision, Proposal, Strategy, TrialRecord
from toprung.trainables.trial.objectives import Objective, Objectives
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.trial.trial_id import trial_id

EPOCHS = 27


def space(trial: Any) -> dict[str, Any]:
    """Ten parameters, some of them conditional."""
    config = {f"x{i}": trial.suggest_float(f"x{i}", 0.0, 1.0) for i in range(7)}
    config["family"] = trial.suggest_categorical("family", ["wide", "deep"])
    name = "layers" if config["family"] == "deep" else "units"
    config[name] = trial.suggest_int(name, 1, 64, log=True)
    return config


def height(config: dict[str, Any]) -> float:
    """The value a trial tends to."""
    return 1.0 - sum((config[f"x{i}"] - 0.3) ** 2 for i in range(7))


def size(config: dict[str, Any]) -> float:
    """A second objective, the smaller the better."""
    return float(config["x0"] + 0.3 * config["x6"])


class Curves:
    """A blackbox of rising curves, an epoch a second."""

    max_epochs = EPOCHS
    rise = 1.0 - np.exp(-np.arange(1, EPOCHS + 1) / 5)
    secs = np.arange(1.0, EPOCHS + 1)

    def space(self, trial: Any) -> dict[str, Any]:
        return space(trial)

    def curve(self, config: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        return height(config) * self.rise, self.secs


def filled(strategy: Strategy, finished: int, running: int, seed: int = 0) -> list[float]:
    """Bring random trials into the strategy by replay; returns the seconds of every report."""
    from toprung.search.strategy.sampling.samplers import sample

    configs = [sample(space, "random", seed, number).config for number in range(finished + running)]
    strategy.replay(
        [], [TrialRecord(trial_id(number), config, None) for number, config in enumerate(configs)]
    )
    return [
        secs
        for number, config in enumerate(configs[:finished])
        for secs in train(strategy, Proposal(trial_id(number), config))
    ]


def train(strategy: Strategy, trial: Proposal) -> list[float]:
    """Report a trial to its end; returns the seconds of every report."""
    secs = []
    for epoch, rise in enumerate(Curves.rise.tolist(), start=1):
        metrics = {"val_accuracy": height(trial.config) * rise, "size": size(trial.config)}
        report = EpochReport(trial.trial_id, epoch, metrics)
        started = time.process_time()
        decision = strategy.report(report)
        secs.append(time.process_time() - started)
        if decision is Decision.STOP:
            break
    strategy.finish(trial.trial_id, Outcome.STOPPED)
    return secs


def proposal_secs(strategy: Strategy, count: int) -> tuple[list[float], list[float]]:
    """The seconds of so many proposals, each after a trial has ended, and those of the work done ahead of each."""
    proposed, ahead = [], []
    waiting = deque([first for _ in range(count) if (first := strategy.ask())])
    for _ in range(count):
        train(strategy, waiting.popleft())
        started = time.process_time()
        strategy.prepare()
        prepared = time.process_time()
        proposal = strategy.ask()
        proposed.append(time.process_time() - prepared)
        ahead.append(prepared - started)
        assert proposal is not None
        waiting.append(proposal)
    return proposed, ahead


class KnownCurves(Curves):
    """Curves worked out beforehand, looked up by one parameter."""

    def __init__(self, configs: list[dict[str, Any]]) -> None:
        self._known = {config["x0"]: super(KnownCurves, self).curve(config) for config in configs}

    def curve(self, config: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        return self._known[config["x0"]]


def reports_a_second(trials: int = 4000) -> float:
    """The simulator and the ladder alone: every proposal and every curve is made beforehand."""
    strategy = Strategy.for_space(space, EPOCHS, 0, sampler="random", max_trials=trials)
    proposals = [proposal for _ in range(trials) if (proposal := strategy.ask())]
    drawn, curves = iter(proposals), KnownCurves([proposal.config for proposal in proposals])
    strategy.ask = lambda: next(drawn, None)  # type: ignore[method-assign]
    started = time.process_time()
    result = simulate(strategy, curves, 256, float("inf"), 0)
    return result.epochs / (time.process_time() - started)


def print_costs(what: str, strategy: Strategy, args: argparse.Namespace) -> None:
    """One line on reports, proposals, what is done ahead of them, and what is left to do after a restart."""
    reports = 1e3 * np.array(filled(strategy, args.finished, args.running))
    started = time.process_time()
    strategy.prepare()
    restarted = 1e3 * (time.process_time() - started)
    asks, ahead = (1e3 * np.array(secs) for secs in proposal_secs(strategy, args.proposals))
    print(
        f"{what:<14} {args.finished} finished, {args.running} running:"
        f" report {reports.mean():.4f} ms (99% {np.quantile(reports, 0.99):.4f}, max {reports.max():.2f});"
        f" proposal {np.median(asks):.1f} ms"
        f" (99% {np.quantile(asks, 0.99):.1f}, max {asks.max():.1f} of {len(asks)});"
        f" ahead of one {ahead.mean():.2f} ms (max {ahead.max():.1f}), after a restart {restarted:.0f}",
        flush=True,
    )


def main() -> None:
    """Print the costs by sampler, the memory by size, and the simulator's speed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--finished", type=int, default=10_000)
    parser.add_argument("--running", type=int, default=1_000)
    parser.add_argument("--proposals", type=int, default=400)
    parser.add_argument("--samplers", nargs="+", default=["stacked", "tpe", "random"])
    args = parser.parse_args()
    speeds = [reports_a_second() for _ in range(7)]
    print(
        f"simulator: {np.median(speeds):,.0f} reports a second without the sampler (median of {len(speeds)})"
    )
    for sampler in args.samplers:
        print_costs(sampler, Strategy.for_space(space, EPOCHS, 0, sampler=sampler), args)
    objectives = Objectives((Objective("val_accuracy", "max"), Objective("size", "min")))
    both = Strategy.for_space(space, EPOCHS, 0, objectives=objectives)
    print_costs("two objectives", both, args)
    for finished in (args.finished // 4, args.finished):
        tracemalloc.start()
        strategy = Strategy.for_space(space, EPOCHS, 0)
        filled(strategy, finished, 0)
        strategy.ask()
        print(
            f"memory with {finished} trials: {tracemalloc.get_traced_memory()[0] / finished:.0f} bytes a trial"
        )
        tracemalloc.stop()


if __name__ == "__main__":
    main()
