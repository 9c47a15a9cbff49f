"""toprung in `throughput.py`: its whole search, with a strategy that proposes the list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from toprung.search.strategy.strategy import Decision, Proposal, Strategy
from toprung.search.strategy.trials import FROM_OUTSIDE
from toprung.trainables.trial.report import EpochReport
from toprung.trainables.trial.trial_id import number_of, trial_id


class ListStrategy(Strategy):
    """Proposes a list of (configuration, epochs) and stops each trial at its epochs: no sampler, as for the rivals."""

    items: list[dict[str, Any]]
    rungs: tuple[int, ...]

    @classmethod
    def of(cls, items: list[dict[str, Any]], rungs: tuple[int, ...], max_epochs: int) -> ListStrategy:
        """The strategy of a list, whose only rung that may stop a trial is the last epoch."""
        made = cls.for_space(lambda trial: {}, max_epochs, 0, min_epochs=max_epochs, max_trials=len(items))
        made.items, made.rungs = items, rungs
        return made

    @property
    def rung_epochs(self) -> tuple[int, ...]:
        return self.rungs

    def ask(self) -> Proposal | None:
        number = self._trials.next_number
        if number >= len(self.items):
            return None
        config = dict(self.items[number]["config"])
        self._trials.add(number, config, None, FROM_OUTSIDE)
        return Proposal(trial_id(number), config)

    def prepare(self) -> None:
        """Nothing: a list needs no thought."""

    def report(self, report: EpochReport) -> Decision:
        super().report(report)
        is_over = report.epoch >= self.items[number_of(report.trial_id)]["epochs"]
        return Decision.STOP if is_over else Decision.KEEP


def job_file(job: dict[str, Any], folder: Path) -> Path:
    """The job, with tables and MLflow on as they are by default."""
    content = {
        "data": job["data"],
        "space": {"name": "cnn"},
        "search": {"trials": len(job["items"]), "max_epochs": job["max_epochs"]},
        "resources": {"cpus": 1, "gpus": job["gpus"], "concurrent": job["workers"]},
        "storage": {"path": str(folder)},
    }
    path = folder / "bench.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def run_toprung(job: dict[str, Any], folder: Path) -> Path:
    """Run the list; returns the run folder."""
    from toprung.search.driver import run_search
    from toprung.search.jobs.schema import Job

    def prepared(spec: Any, address: str | None) -> Any:
        return replace(
            prepare(spec, address),
            strategy=ListStrategy.of(job["items"], tuple(job["rungs"]), job["max_epochs"]),
        )

    prepare, run_search.prepare_search = run_search.prepare_search, prepared  # type: ignore[attr-defined, assignment]
    run_search.run_search(Job.from_file(job_file(job, folder)))
    return folder / "bench"
