"""Ray Tune's Searcher and TrialScheduler over one `SearchLoop`: translation, and no decision of its own.

A trial here may be several of Ray's: one that goes on after a pause or after a driver was killed starts as a new
Ray trial under its own id and takes up its own checkpoint, so Ray needs to restore nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

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
    """Hands Ray the loop's next trial, at most `concurrent` at once.

    With `proposes_ahead` the next one is proposed while all workers train, so that a worker that becomes free does not
    wait for the sampler. It is kept back until then: for a trial that waits, Ray asks for a place that is not there.
    """

    def __init__(self, loop: SearchLoop, concurrent: int, proposes_ahead: bool) -> None:
        super().__init__(metric=None, mode=None)
        self._loop, self._concurrent, self._proposes_ahead = loop, concurrent, proposes_ahead
        self._trial_of: dict[str, str] = {}
        self._next: TrialStart | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The configuration of one Ray trial, None to be asked again, FINISHED when there will be no more."""
        if len(self._trial_of) >= self._concurrent:
            if self._proposes_ahead and self._next is None:
                self._next = self._loop.next_trial()
            return None
        start, self._next = self._next or self._loop.next_trial(), None
        if start is None:
            return str(Searcher.FINISHED) if self._loop.finished else None
        self._trial_of[trial_id] = start.trial_id
        return {START: start}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Ray's trial is over; the scheduler has said why, unless its worker is lost for good."""
        ours = self._trial_of.pop(trial_id, None)
        if error and ours is not None:
            self._loop.lost(ours, "the worker process ended without a result; Ray's logs hold its last words")


class LoopScheduler(_NotRestored, TrialScheduler):  # type: ignore[misc]
    """Gives the loop every result and Ray the loop's decision; trials start in the order they were proposed."""

    def __init__(self, loop: SearchLoop) -> None:
        super().__init__()
        self._loop = loop

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Keep or stop; a paused trial gives its worker back and comes again as a new Ray trial."""
        start: TrialStart = trial.config[START]
        worker = result[WORKER]
        place = Place(worker.node, worker.pid, worker.outgrown)
        decision = self._loop.report(start.trial_id, result[RESULT], place)
        if decision is Decision.KEEP:
            return str(TrialScheduler.CONTINUE)
        if worker.outgrown:
            _end_worker_of(trial, tune_controller)
        return str(TrialScheduler.STOP)

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
