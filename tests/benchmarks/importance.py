"""How well rankings of hyperparameters agree with the truth, on the development tasks of LCBench.

The truth are the total Sobol indices of the surrogate's last epoch. A search of 40 or 120 trials is simulated on each
task, and its parameters are ranked by `results.analysis.importance` and, from the completed trials as Optuna's plots
do, by Optuna's fANOVA and PED-ANOVA. On shuffled values the answer has to be "cannot tell".

    python tests/benchmarks/importance.py [--trials 40 120] [--seeds 2] [--shuffled 20]
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial
from scipy.stats import spearmanr
from scipy.stats.qmc import Sobol

sys.path.insert(0, str(Path(__file__).parent))
from lcbench import DATA, ORDER, TASKS, LCBench, Surrogate

from toprung.results.analysis.importance.importance import importance
from toprung.results.analysis.importance.joint_model import RungResults
from toprung.results.analysis.importance.parameter import Parameter
from toprung.search.simulation.simulator import simulate
from toprung.search.strategy.strategy import Decision, Proposal, Strategy
from toprung.spaces.definition.introspection import describe
from toprung.trainables.trial.report import EpochReport, Outcome

WORKERS = 4


class Watched:
    """A strategy that keeps what it was told."""

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy
        self.objectives, self.rung_epochs = strategy.objectives, strategy.rung_epochs
        self.configs: dict[str, dict[str, Any]] = {}
        self.reports: list[EpochReport] = []

    def ask(self) -> Proposal | None:
        proposal = self._strategy.ask()
        if proposal is not None:
            self.configs[proposal.trial_id] = proposal.config
        return proposal

    def report(self, report: EpochReport) -> Decision:
        self.reports.append(report)
        return self._strategy.report(report)

    def finish(self, trial_id: str, outcome: Outcome) -> None:
        self._strategy.finish(trial_id, outcome)


def parameters(task: LCBench) -> list[Parameter]:
    """The parameters of LCBench's space."""
    found = []
    for name, one in describe(task.space).items():
        assert isinstance(one, FloatDistribution | IntDistribution)
        found.append(Parameter(name, one.low, one.high, one.log, isinstance(one, IntDistribution)))
    return found


def true_indices(task: LCBench, samples: int = 4096) -> np.ndarray:
    """The total Sobol indices at the last epoch, in the order of ORDER."""
    space = {one.name: one for one in parameters(task)}
    draws = Sobol(2 * len(ORDER), seed=0).random(samples)
    first, second = draws[:, : len(ORDER)], draws[:, len(ORDER) :]

    def final(units: np.ndarray) -> np.ndarray:
        columns = [[float(space[name].value(unit)) for unit in units[:, i]] for i, name in enumerate(ORDER)]
        epochs = np.full(len(units), task._epochs[-1])
        return task._surrogate(task.task, epochs, np.array(columns).T)[:, 1].astype(float)

    base = final(first)
    found = []
    for i in range(len(ORDER)):
        changed = first.copy()
        changed[:, i] = second[:, i]
        found.append(float(((base - final(changed)) ** 2).mean() / (2 * base.var())))
    return np.array(found)


def searched(task: LCBench, trials: int, seed: int) -> Watched:
    """A simulated search of so many trials."""
    watched = Watched(Strategy.for_space(task.space, task.max_epochs, seed, max_trials=trials))
    simulate(watched, task, WORKERS, 1e12, seed)
    return watched


def results_of(watched: Watched) -> RungResults:
    """The results at the rungs."""
    rows = [report for report in watched.reports if report.epoch in watched.rung_epochs]
    return RungResults(
        [watched.configs[row.trial_id] for row in rows],
        np.array([int(row.trial_id[1:]) for row in rows]),
        np.array([row.epoch for row in rows]),
        np.array([row.metrics["val_accuracy"] for row in rows]),
    )


def by_optuna(task: LCBench, watched: Watched, evaluator: Any) -> np.ndarray | None:
    """The importances that Optuna's plots show: of completed trials."""
    space = describe(task.space)
    study = optuna.create_study(direction="maximize")
    for report in watched.reports:
        if report.epoch == task.max_epochs:
            params = watched.configs[report.trial_id]
            value = report.metrics["val_accuracy"]
            study.add_trial(
                create_trial(state=TrialState.COMPLETE, params=params, distributions=space, value=value)
            )
    try:
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (ValueError, RuntimeError):
        return None
    return np.array([found.get(name, 0.0) for name in ORDER])


def ranks_with(truth: np.ndarray, found: np.ndarray | None) -> float:
    """The rank correlation with the truth; 0 where there is no ranking."""
    if found is None or np.ptp(found) == 0:
        return 0.0
    return float(spearmanr(truth, found).statistic)


def shuffled(results: RungResults, seed: int) -> RungResults:
    """The same with each trial's values given to another trial: nothing is left to tell."""
    rng, trials = np.random.default_rng(seed), np.unique(results.trials)
    other = dict(zip(trials.tolist(), rng.permutation(trials).tolist(), strict=True))
    configs = dict(zip(results.trials.tolist(), results.configs, strict=True))
    moved = [configs[other[int(number)]] for number in results.trials]
    return RungResults(moved, results.trials, results.epochs, results.values)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, nargs="+", default=[40, 120])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--shuffled", type=int, default=20, help="number of searches with shuffled values")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    options = parser.parse_args()
    if not DATA.exists():
        sys.exit(f"no surrogate in {DATA}")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    tasks = [LCBench(name, Surrogate()) for name in options.tasks]
    truths = [true_indices(task) for task in tasks]
    print("rank correlation with the true total Sobol indices: mean over tasks and seeds (standard error)")
    runs: list[RungResults] = []
    for trials in options.trials:
        found: dict[str, list[float]] = {}
        told: list[float] = []
        for task, truth in zip(tasks, truths, strict=True):
            for seed in range(options.seeds):
                watched = searched(task, trials, seed)
                results = results_of(watched)
                runs.append(results)
                answer, _ = importance(parameters(task), results, task.max_epochs, seed)
                indices = {one.name: one.index for one in answer.parameters}
                ours = ranks_with(truth, np.array([indices[name] for name in ORDER])) if indices else 0.0
                found.setdefault("ours, 0 where it cannot tell", []).append(ours)
                if indices:
                    told.append(ours)
                for name, evaluator in {
                    "Optuna fANOVA": optuna.importance.FanovaImportanceEvaluator(seed=seed),
                    "Optuna PED-ANOVA": optuna.importance.PedAnovaImportanceEvaluator(),
                }.items():
                    found.setdefault(name, []).append(ranks_with(truth, by_optuna(task, watched, evaluator)))
        for name, values in found.items():
            error = np.std(values) / np.sqrt(len(values))
            print(f"{trials:4} trials  {name:30} {np.mean(values):.2f} ({error:.2f})", flush=True)
        print(
            f"{trials:4} trials  {'ours, where it tells':30} {np.mean(told):.2f} in {len(told)} of {len(values)}"
        )
    cannot = 0
    for number in range(options.shuffled):
        results = shuffled(runs[number % len(runs)], number)
        answer, _ = importance(parameters(tasks[0]), results, tasks[0].max_epochs, number)
        cannot += not answer.parameters
    print(f"on shuffled values it cannot tell in {cannot} of {options.shuffled}")


if __name__ == "__main__":
    main()
