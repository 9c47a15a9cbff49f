"""Ray Tune's Searcher and TrialScheduler over one `SearchLoop`: translation, and no decision of its own.

A trial here may be several of Ray's: one that goes on after a pause or after a driver was killed starts as a new
Ray trial under its own id and takes up its own checkpoint, so Ray needs to restore nothing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from search.loop import Place, SearchLoop
from search.strategy import Decision
from trainables.trial import RESULT, START, WORKER

if TYPE_CHECKING:
    from collections.abc import Collection

    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

    from trainables.trial_run import TrialStart

PENDING = "PENDING"


class _NotRestored:
    """Pickles as nothing: Ray writes its searcher and scheduler to disk to restore them, which is never done here."""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the tables are the only memory."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the tables are the only memory."""


class StartQueue:
    """Ray's trials that no worker has taken up yet, in the order they were proposed."""

    def __init__(self) -> None:
        self._trials: deque[Trial] = deque()

    def __len__(self) -> int:
        return len(self._trials)

    def add(self, trial: Trial) -> None:
        """One more, or one that comes again because its worker died."""
        self._trials.append(trial)

    def first(self, resetting: Collection[Trial]) -> Trial | None:
        """The one to start next; a trial is done here once a worker is being reset for it or runs it."""
        while self._trials and (self._trials[0].status != PENDING or self._trials[0] in resetting):
            self._trials.popleft()
        return self._trials[0] if self._trials else None


class LoopSearcher(_NotRestored, Searcher):  # type: ignore[misc]
    """Hands Ray the loop's next trial, at most `concurrent` at once and `ahead` more waiting for a worker.

    A worker that becomes free takes the trial that waits before another is proposed in its place, so that it waits for
    no sampler.
    """

    def __init__(self, loop: SearchLoop, queue: StartQueue, concurrent: int, ahead: int) -> None:
        super().__init__(metric=None, mode=None)
        self._loop, self._queue = loop, queue
        self._most_open = concurrent + ahead
        self._trial_of: dict[str, str] = {}
        self._worker_is_free = False

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The configuration of one Ray trial, None to be asked again, FINISHED when there will be no more."""
        if self._loop.finished:
            return str(Searcher.FINISHED)
        start_first = self._worker_is_free and len(self._queue) > 0
        self._worker_is_free = False
        if start_first or len(self._trial_of) >= self._most_open:
            return None
        start = self._loop.next_trial()
        if start is None:
            return str(Searcher.FINISHED) if self._loop.finished else None
        self._trial_of[trial_id] = start.trial_id
        return {START: start}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Ray's trial is over; the scheduler has said why, unless its worker is lost for good."""
        self._worker_is_free = True
        ours = self._trial_of.pop(trial_id, None)
        if error and ours is not None:
            self._loop.lost(ours, "the worker process ended without a result; Ray's logs hold its last words")


class LoopScheduler(_NotRestored, TrialScheduler):  # type: ignore[misc]
    """Gives the loop every result and Ray the loop's decision; trials start in the order they were proposed."""

    def __init__(self, loop: SearchLoop, queue: StartQueue) -> None:
        super().__init__()
        self._loop, self._queue = loop, queue

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
        """The trial proposed first of those that wait: Ray itself gives a free worker to any of them."""
        return self._queue.first(_internal(tune_controller, "_resetting_trials", ()))

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """A trial waits for a worker."""
        self._queue.add(trial)

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
