"""Ray Tune's Searcher and TrialScheduler over one `SearchLoop`: translation, and no decision of its own.

A trial of Ray's is the working life of one worker: when one of ours stops, its worker is told the next one and goes on.
For Ray itself a new trial is tens of milliseconds of folders, resets and round trips, in which the worker would wait.
Trials keep their own checkpoints, so that one may go on with any worker and Ray needs to restore nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from search.ahead import Ahead
from search.loop import Place, SearchLoop
from search.strategy import Decision
from trainables.trial import RESULT, START, WORKER

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

    from trainables.trial_run import TrialStart


class _NotRestored:
    """Pickles as nothing: Ray writes its searcher and scheduler to disk to restore them, which is never done here."""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the tables are the only memory."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the tables are the only memory."""


class LoopSearcher(_NotRestored, Searcher):  # type: ignore[misc]
    """Hands Ray a trial for each of `concurrent` workers, and each worker its next one.

    With `proposes_ahead` trials are proposed while all workers train. They are kept back until a worker is free: for a
    trial that waits, Ray asks for a place that is not there.
    """

    def __init__(self, loop: SearchLoop, concurrent: int, proposes_ahead: bool) -> None:
        super().__init__(metric=None, mode=None)
        self._loop, self._concurrent = loop, concurrent
        self._ahead = Ahead(loop, concurrent if proposes_ahead else 0)
        self._trial_of: dict[str, str] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The first configuration of one worker, None to be asked again, FINISHED when there will be no more."""
        if len(self._trial_of) >= self._concurrent:
            self._ahead.prepare()
            return None
        start = self._ahead.take()
        if start is None:
            return str(Searcher.FINISHED) if self._loop.finished else None
        self._trial_of[trial_id] = start.trial_id
        return {START: start}

    def following(self, trial_id: str) -> TrialStart | None:
        """What the worker of a Ray trial does next, None when there is nothing now."""
        start = self._ahead.take(is_awaited=True)
        if start is not None:
            self._trial_of[trial_id] = start.trial_id
        return start

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Ray's trial is over; the scheduler has said why, unless its worker is lost for good."""
        ours = self._trial_of.pop(trial_id, None)
        if error and ours is not None:
            self._loop.lost(ours, "the worker process ended without a result; Ray's logs hold its last words")


class LoopScheduler(_NotRestored, TrialScheduler):  # type: ignore[misc]
    """Gives the loop every result, and the worker the loop's decision or its next trial."""

    def __init__(self, loop: SearchLoop, searcher: LoopSearcher) -> None:
        super().__init__()
        self._loop, self._searcher = loop, searcher

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Go on, with this trial or the next; a paused trial comes again as a new one, with any worker."""
        start: TrialStart = trial.config[START]
        worker = result[WORKER]
        place = Place(worker.node, worker.pid, worker.outgrown)
        decision = self._loop.report(start.trial_id, result[RESULT], place)
        if decision is Decision.KEEP:
            return str(TrialScheduler.CONTINUE)
        if worker.outgrown:
            _end_worker_of(trial, tune_controller)
            return str(TrialScheduler.STOP)
        following = self._searcher.following(trial.trial_id)
        if following is None:
            return str(TrialScheduler.STOP)
        _hand_over(trial, following)
        return str(TrialScheduler.CONTINUE)

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """None: Ray then starts pending trials in their order."""
        return None

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Nothing to keep."""

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """Nothing: Ray calls this for every retry; the searcher hears of the last one."""

    def on_trial_complete(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> None:
        """Nothing: every result has passed `on_trial_result`."""

    def on_trial_remove(self, tune_controller: TuneController, trial: Trial) -> None:
        """Nothing to forget."""

    def debug_string(self) -> str:
        """One line for Ray's own logs."""
        return "toprung"


def _hand_over(trial: Trial, start: TrialStart) -> None:
    """Let the worker of a Ray trial begin another of our trials, ahead of the `train` call that Ray sends next.

    Should the worker die, Ray starts another with the trial's configuration, which is that of our new trial by then;
    and each of our trials has its own retries.
    """
    trial.config[START] = start
    trial.run_metadata.num_failures = 0
    trial.temporary_state.ray_actor.begin.remote(start)


def _end_worker_of(trial: Trial, tune_controller: TuneController) -> None:
    """Let Ray end the actor of a trial that stops and start a new one, where it would have kept it for reuse.

    Ray has no public way to ask for that (`reset_config` returning False fails the next trial), but it keeps only
    actors that it has noted as started.
    """
    actor = _internal(tune_controller, "_trial_to_actor", {}).get(trial)
    _internal(tune_controller, "_started_actors", set()).discard(actor)


def _internal(tune_controller: TuneController, name: str, default: Any) -> Any:
    """A field of Ray's controller, also from behind the wrapper that schedulers are given."""
    return getattr(getattr(tune_controller, "_tune_controller", tune_controller), name, default)
