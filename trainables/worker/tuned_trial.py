"""Our Keras trial as a trainable of Ray Tune's own: one trial is one of Ray Tune's, and a step is an epoch.

With `reuse_actors=True` the process stays warm as a worker of `toprung search` does: data and compiled models outlive
the trial. TensorFlow is imported where it trains alone.
"""

from __future__ import annotations

import logging
import math
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune
from ray.tune.result import DONE

from toprung.trainables.system.store_settings import adopt_store_settings
from toprung.trainables.trial.messages import TrialStart
from toprung.trainables.trial.report import Outcome
from toprung.trainables.worker.checkpoints import CheckpointStore
from toprung.trainables.worker.trainer_source import CachedTrainerSource
from toprung.trainables.worker.trial_runner import TrialRunner

if TYPE_CHECKING:
    from toprung.trainables.worker.plan import TrialPlan

_log = logging.getLogger("toprung")
NAME = "trial"  # of the states in their folder, which holds those of one trial


class TunedTrial(tune.Trainable):  # type: ignore[misc]
    """Trains the configuration that Ray Tune gives it, an epoch a step; made by `toprung.search.integrations`.

    A report holds the epoch's metrics, and what the job optimises or bounds of the model itself. A trial whose model
    breaks a bound ends before it is trained, with a metric of NaN.
    """

    def setup(self, config: dict[str, Any], plan: TrialPlan | None = None, seed: int = 0) -> None:
        """Begin the first trial; Ray demands a default of `plan` and always passes it."""
        assert plan is not None
        adopt_store_settings(plan.store_settings)
        self._rules, self._seed = plan.rules, seed
        self._states = Path(tempfile.mkdtemp(prefix="toprung-"))
        self._store = CheckpointStore(str(self._states))
        self._run = TrialRunner(CachedTrainerSource(plan), self._store, plan.rules, in_worker=True)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in this process."""
        self._forget_states()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train an epoch.

        Raises:
            RuntimeError: The training has failed.
        """
        result = self._run.step()
        for note in result.notes:
            _log.warning("%s", note)
        main = self._rules.objectives.main.metric
        if result.failure is Outcome.STOPPED:
            return {main: math.nan, **result.model_measures, DONE: True}
        if result.failure is not None or result.report is None:
            raise RuntimeError(result.error or result.reason)
        report = result.report
        return {**report.metrics, DONE: report.epoch >= self._rules.max_epochs}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Copy the state of the newest epoch, and that of the best."""
        self._store.settle()
        for state in self._states.iterdir():
            shutil.copy(state, checkpoint_dir)

    def load_checkpoint(self, checkpoint: str) -> None:
        """Go on from a state, whose report is not repeated; one of another configuration is not taken."""
        self._forget_states()
        for state in Path(checkpoint).glob(f"{NAME}.*"):
            shutil.copy(state, self._states)
        self._begin(self._config)
        if self._run.is_resumed:
            self._run.step()

    def cleanup(self) -> None:
        """Finish writing, and remove the states: Ray Tune has copies."""
        self._run.end()
        shutil.rmtree(self._states, ignore_errors=True)

    def _begin(self, config: dict[str, Any]) -> None:
        self._config = dict(config)
        self._run.begin(TrialStart(NAME, 0, self._seed, self._config))

    def _forget_states(self) -> None:
        self._store.settle()
        for state in self._states.iterdir():
            state.unlink()
