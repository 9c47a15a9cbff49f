"""A search in Weights & Biases: a run for each trial and one for the search, a group in the project of the experiment.

Where runs go is said by W&B's own environment: to its server, or with WANDB_MODE=offline into RUN/wandb, from where
`wandb sync` sends them. A line in RUN/wandb/closed_runs.jsonl says what a run had when it was closed, since a run that
is opened again does not tell. What a kill left open is sent once more; the server drops the steps it has.
"""

from __future__ import annotations

import importlib
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toprung.results.tracking.trial_entries import end_values, epoch_values, status_of, typed_params_of
from toprung.trainables.system.uris import is_uri

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from toprung.results.tables.rows import Row
    from toprung.results.tracking.search_end import SearchEnd
    from toprung.results.tracking.search_history import SearchFacts
    from toprung.results.tracking.tracking_settings import Tracking
    from toprung.results.tracking.trial_entries import PendingTrialUpdate

CLOSED_RUNS = "closed_runs.jsonl"
OPEN = "open"
ENVIRONMENT = {"WANDB_SILENT": "true", "WANDB_CONSOLE": "off", "WANDB_DISABLE_CODE": "true"}
ID_CHARS = 12


@dataclass(frozen=True)
class _Closed:
    """What W&B had of a run when it was closed: the last step, and the end, OPEN for one that may go on."""

    step: int = 0
    end: str = OPEN


@dataclass
class _Run:
    """A run that is open, and the last step that it was given."""

    handle: Any
    step: int


class WandbRuns:
    """The runs of a search in Weights & Biases."""

    def __init__(self, tracking: Tracking, _: SearchFacts) -> None:
        self._tracking = tracking
        folder = Path(tracking.artifacts or ".")
        self._folder, self._closed_runs = folder, folder / "wandb" / CLOSED_RUNS
        self._closed = dict(_read(self._closed_runs))
        self._open: dict[str, _Run] = {}
        self.written: set[str] = set()

    @staticmethod
    def load() -> None:
        """Import W&B, which takes seconds, so that it prints nothing."""
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        importlib.import_module("wandb")

    @staticmethod
    def may_be_silent(tracking: Tracking) -> bool:
        """Whether a server has to answer."""
        return is_uri(tracking.uri)

    def begin_search(self) -> None:
        """Nothing: a run goes on when something is written."""

    def write(self, trial_id: str, update: PendingTrialUpdate) -> None:
        """Send what W&B lacks of a trial. Raises what W&B raises; runs that were open are closed then."""
        known, end = self._known(trial_id), update.end
        epochs = [row for epoch, row in sorted(update.epochs.items()) if epoch > known.step]
        outcome = OPEN if end is None else str(end["outcome"])
        if not epochs and outcome in (OPEN, known.end):
            return
        with self._closing_on_error():
            config = {} if update.proposal is None else typed_params_of(update.proposal)
            run = self._opened(trial_id, "trial", config)
            for row in epochs:
                self._log(trial_id, run, epoch_values(row), int(row["epoch"]), row.get("reported_at"))
            if end is not None:
                _summarize(run, end)
                self._close(trial_id, outcome, 0 if status_of(end) == "FINISHED" else 1)

    def describe_search(self, facts: SearchFacts) -> None:
        """Send the best value where it is a new one; the job and the ranges are the run's configuration."""
        if self._tracking.search is None or facts.best is None:
            return
        name, search = self._tracking.run, self._tracking.search
        if facts.epochs <= self._known(name).step and name not in self._open:
            return
        with self._closing_on_error():
            run = self._opened(name, "search", {**search.settings, "job": search.job})
            if facts.epochs > run.step:
                values = {f"best_{search.metric}": facts.best.value, "best_epoch": facts.best.epoch}
                self._log(name, run, values, facts.epochs, facts.last_at)
            run.handle.summary["best_trial"] = facts.best.trial_id
            for outcome, count in facts.outcomes.items():
                run.handle.summary[f"trials_{outcome.lower()}"] = count

    def end_search(self, end: SearchEnd) -> None:
        """Close the search's own run and those of the trials that were interrupted."""
        name, told = self._tracking.run, f"{end.status} {end.reason}".strip()
        with self._closing_on_error():
            for trial_id in [one for one in self._open if one != name]:
                self._close(trial_id, OPEN, 1)
            if name in self._open or self._known(name).end != told:
                run = self._opened(name, "search", {})
                run.handle.summary["end"] = told
                self.written.add(name)
                self._close(name, told, 0 if end.status == "FINISHED" else 1)

    def _known(self, name: str) -> _Closed:
        if name in self._open:
            return _Closed(self._open[name].step)
        return self._closed.get(name, _Closed())

    def _opened(self, name: str, job_type: str, config: Mapping[str, Any]) -> _Run:
        if name in self._open:
            return self._open[name]
        import wandb

        (self._folder / "wandb").mkdir(parents=True, exist_ok=True)
        handle = wandb.init(
            project=self._tracking.experiment,
            group=self._tracking.run,
            job_type=job_type,
            name=name,
            id=self._id(name),
            config=dict(config),
            dir=str(self._folder),
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(
                init_timeout=20, x_disable_stats=True, x_disable_meta=True, disable_git=True
            ),
        )
        self._open[name] = _Run(handle, self._closed.get(name, _Closed()).step)
        return self._open[name]

    def _id(self, name: str) -> str:
        """The same for a run's whole life, and another for a run of the same name elsewhere."""
        own = (self._tracking.identity or self._tracking.run)[:ID_CHARS]
        return own if name == self._tracking.run else f"{own}-{name}"

    def _log(self, name: str, run: _Run, values: Mapping[str, float], step: int, at: Any) -> None:
        moment = {} if at is None else {"_timestamp": at.timestamp()}
        run.handle.log({**values, **moment}, step=step)
        run.step = step
        self.written.add(name)

    def _close(self, name: str, end: str, exit_code: int) -> None:
        """Have W&B take all of a run, then note that it has it."""
        run = self._open.pop(name)
        run.handle.finish(exit_code=exit_code)
        self._closed[name] = _Closed(run.step, end)
        self.written.add(name)
        # A new line first: the one before may have no end.
        with self._closed_runs.open("a", encoding="utf-8") as stream:
            stream.write("\n" + json.dumps({"run": name, "step": run.step, "end": end}))

    @contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        try:
            yield
        except Exception:
            for run in self._open.values():
                with suppress(Exception):
                    run.handle.finish(exit_code=1)
            self._open.clear()
            raise


def _summarize(run: _Run, end: Row) -> None:
    for key in ("outcome", "reason"):
        run.handle.summary[key] = str(end.get(key) or "")
    for name, value in end_values(end).items():
        run.handle.summary[name] = value


def _read(path: Path) -> Iterator[tuple[str, _Closed]]:
    """The last word on each run; half a line, which a kill leaves, says nothing."""
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with suppress(ValueError, KeyError, TypeError):
            content = json.loads(line)
            yield content["run"], _Closed(int(content["step"]), str(content["end"]))
