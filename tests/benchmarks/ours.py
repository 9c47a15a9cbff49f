"""toprung in `throughput.py`: its whole search, with a strategy that proposes the list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml


class ListStrategy:
    """Proposes a list of (configuration, epochs) and stops each trial at its epochs: no sampler, as for the rivals."""

    def __init__(self, items: list[dict[str, Any]], rungs: tuple[int, ...]) -> None:
        self._items, self.rung_epochs = items, rungs
        self.paused: frozenset[str] = frozenset()
        self._asked, self._ended = 0, 0

    @property
    def exhausted(self) -> bool:
        return self._asked >= len(self._items)

    def ask(self) -> Any:
        from toprung.search.strategy.strategy import Proposal

        if self.exhausted:
            return None
        self._asked += 1
        return Proposal(f"t{self._asked - 1:05d}", self._items[self._asked - 1]["config"])

    def prepare(self) -> None:
        """Nothing: a list needs no thought."""

    def report(self, report: Any) -> Any:
        from toprung.search.strategy.strategy import Decision

        item = self._items[int(report.trial_id[1:])]
        return Decision.STOP if report.epoch >= item["epochs"] else Decision.KEEP

    def finish(self, trial_id: str, outcome: Any) -> None:
        self._ended += 1

    def replay(self, reports: Any, trials: Any) -> dict[str, Any]:
        return {}

    def notes(self) -> list[str]:
        return []

    def reason(self, trial_id: str) -> str:
        return "on the list"

    def suggested(self, trial_id: str) -> dict[str, Any]:
        return {}

    def rung_of(self, trial_id: str) -> int:
        return 0


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

    def prepared(spec: Any) -> Any:
        return replace(prepare(spec), strategy=ListStrategy(job["items"], tuple(job["rungs"])))

    prepare, run_search.prepare = run_search.prepare, prepared  # type: ignore[attr-defined, assignment]
    run_search.run_search(Job.from_file(job_file(job, folder)))
    return folder / "bench"
