"""The strategy in a stock Ray Tune experiment."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from toprung.search.strategy.strategy import Decision, Strategy
from toprung.trainables.trial.report import EpochReport, Outcome

pytestmark = [pytest.mark.slow]
EPOCHS = 9
README = Path(__file__).parents[3] / "README.md"


@pytest.fixture(scope="module", autouse=True)
def ray_alone() -> Iterator[None]:
    import ray

    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
    )
    yield
    ray.shutdown()


def space(trial: Any) -> dict[str, Any]:
    return {
        "rate": trial.suggest_float("rate", 1e-4, 1e-1, log=True),
        "kind": trial.suggest_categorical("kind", ["a", "b"]),
    }


def accuracy(config: Mapping[str, Any], epoch: int) -> float:
    height = 1.0 - abs(math.log10(config["rate"]) + 2.5) / 3 - 0.1 * (config["kind"] == "b")
    return height * (1.0 - math.exp(-epoch / 3))


def trainable(crashes_at: int = 0) -> Any:
    """A class for Ray Tune that keeps its epoch in its checkpoints; one whose rate is high crashes at an epoch."""
    from ray import tune

    class Trained(tune.Trainable):  # type: ignore[misc]
        def setup(self, config: dict[str, Any]) -> None:
            self.epoch = 0

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.config, self.epoch = new_config, 0
            return True

        def step(self) -> dict[str, float]:
            self.epoch += 1
            if crashes_at == self.epoch and self.config["rate"] > 0.01:
                raise RuntimeError("too high a rate")
            return {"val_accuracy": accuracy(self.config, self.epoch)}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            (Path(checkpoint_dir) / "epoch.json").write_text(json.dumps(self.epoch))

        def load_checkpoint(self, checkpoint: str) -> None:
            self.epoch = json.loads((Path(checkpoint) / "epoch.json").read_text())

    return Trained


def fit(path: Path, trials: int, crashes_at: int = 0, **settings: Any) -> Any:
    """The results of an experiment that runs one trial at a time."""
    from ray import tune

    from toprung.search.integrations.ray_tune import StrategySearch

    search = StrategySearch(space, EPOCHS, "val_accuracy", **settings)
    tuner = tune.Tuner(
        trainable(crashes_at),
        tune_config=tune.TuneConfig(
            search_alg=search,
            scheduler=search.scheduler(),
            num_samples=trials,
            max_concurrent_trials=1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name="experiment", storage_path=str(path), verbose=0),
    )
    return tuner.fit()


def tried(results: Any) -> list[tuple[dict[str, Any], int]]:
    """The configurations in the order of their trials, and the last epoch of each."""
    return [(one.config, (one.metrics or {}).get("training_iteration", 0)) for one in results]


def strategy_alone(trials: int, crashes_at: int = 0, **settings: Any) -> list[tuple[dict[str, Any], int]]:
    """What the strategy by itself tries, one trial at a time."""
    strategy = Strategy.for_space(space, EPOCHS, 0, max_trials=trials, **settings)
    strategy.weighs_time = False
    last: dict[str, tuple[dict[str, Any], int]] = {}
    while (proposal := strategy.ask()) is not None:
        name, config = proposal
        epoch, decision = last.get(name, (config, 0))[1], Decision.KEEP
        while decision is Decision.KEEP and epoch < EPOCHS:
            if crashes_at == epoch + 1 and config["rate"] > 0.01:
                strategy.finish(name, Outcome.FAILED)
                break
            epoch += 1
            decision = strategy.report(
                EpochReport(name, epoch, {"val_accuracy": accuracy(config, epoch)}, 0.0, 0.0)
            )
        last[name] = config, epoch
    return list(last.values())


def test_an_experiment_tries_and_stops_what_the_strategy_alone_does(tmp_path: Path) -> None:
    assert tried(fit(tmp_path, 12)) == strategy_alone(12)


def test_paused_trials_are_resumed_from_their_checkpoints_and_ended_at_last(tmp_path: Path) -> None:
    results = tried(fit(tmp_path, 5, variant="promote"))
    assert results == strategy_alone(5, variant="promote")
    assert max(epoch for _, epoch in results) == EPOCHS


def test_a_crashed_trial_leaves_the_rungs(tmp_path: Path) -> None:
    assert tried(fit(tmp_path, 12, crashes_at=3)) == strategy_alone(12, crashes_at=3)


def test_a_restored_search_knows_what_it_knew(tmp_path: Path) -> None:
    from ray.tune.search import Searcher

    from toprung.search.integrations.ray_tune import StrategySearch

    first, second = (StrategySearch(space, EPOCHS, "val_accuracy") for _ in range(2))
    scheduler = second.scheduler()
    names = [f"ray{number}" for number in range(4)]
    assert all(first.suggest(name) not in (None, Searcher.FINISHED) for name in names)
    first.save(str(tmp_path / "state"))
    second.restore(str(tmp_path / "state"))
    assert first.suggest("next") == second.suggest("next")
    assert scheduler.debug_string().startswith("toprung")


def test_the_experiment_shown_in_the_readme_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(
        r"```python\n(import math\n\nfrom ray import.*?)```", README.read_text(), flags=re.DOTALL
    )
    kept_here = f"train,\n    run_config=tune.RunConfig(storage_path={str(tmp_path)!r}, verbose=0),\n"
    code = code.replace("num_samples=100", "num_samples=3").replace("train,\n", kept_here, 1)
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
    assert "rate" in capsys.readouterr().out
