"""What Ray Tune asks and is told: the loop's trials in order, each worker its next one, none that is too large."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from search.strategy import Decision
from trainables.report import EpochReport
from trainables.trial_run import EpochResult, TrialStart

pytestmark = pytest.mark.slow


class FewTrials:
    """A search loop that has `count` trials and stops each at its first result."""

    def __init__(self, count: int) -> None:
        self.left, self.asked, self.lost_trials = count, 0, []

    @property
    def finished(self) -> bool:
        return self.left == 0

    def next_trial(self) -> TrialStart | None:
        if self.left == 0:
            return None
        self.left -= 1
        self.asked += 1
        return TrialStart(f"t{self.asked - 1:05d}", self.asked - 1, 0, {})

    def report(self, trial_id: str, result: EpochResult, place: Any) -> Decision:
        return Decision.STOP

    def lost(self, trial_id: str, error: str) -> None:
        self.lost_trials.append(trial_id)


def searcher_of(loop: Any, concurrent: int, proposes_ahead: bool) -> Any:
    from search.tune_adapter import LoopSearcher

    return LoopSearcher(loop, concurrent, proposes_ahead)


def told(suggestion: Any) -> Any:
    return suggestion["start"].trial_id if isinstance(suggestion, dict) else suggestion


def test_no_more_trials_at_once_than_workers_and_all_in_order() -> None:
    loop = FewTrials(4)
    searcher = searcher_of(loop, concurrent=2, proposes_ahead=False)
    assert [told(searcher.suggest(name)) for name in "abc"] == ["t00000", "t00001", None]
    assert loop.asked == 2
    searcher.on_trial_complete("a")
    assert [told(searcher.suggest(name)) for name in "de"] == ["t00002", None]


def test_the_next_trial_is_proposed_while_all_workers_train() -> None:
    loop = FewTrials(3)
    searcher = searcher_of(loop, concurrent=1, proposes_ahead=True)
    assert told(searcher.suggest("a")) == "t00000"
    for _ in range(4):
        assert searcher.suggest("b") is None
    assert loop.asked == 2, "one ahead, and no more"
    searcher.on_trial_complete("a")
    assert told(searcher.suggest("b")) == "t00001"


def test_a_trial_proposed_ahead_is_started_though_nothing_is_left_to_propose() -> None:
    searcher = searcher_of(FewTrials(2), concurrent=1, proposes_ahead=True)
    searcher.suggest("a")
    assert [searcher.suggest("b") for _ in range(2)] == [None, None]
    searcher.on_trial_complete("a")
    assert told(searcher.suggest("b")) == "t00001"
    searcher.on_trial_complete("b")
    assert searcher.suggest("c") == "FINISHED"


def test_a_trial_whose_worker_is_lost_for_good_is_told_to_the_loop() -> None:
    loop = FewTrials(1)
    searcher = searcher_of(loop, concurrent=1, proposes_ahead=False)
    searcher.suggest("a")
    searcher.on_trial_complete("a", error=True)
    assert loop.lost_trials == ["t00000"]


def test_a_worker_whose_trial_stops_begins_the_next_one_in_the_same_trial_of_rays() -> None:
    searcher, trial = started(FewTrials(2))
    assert told_after_a_result(searcher, trial) == "CONTINUE"
    assert [start.trial_id for start in trial.begun] == ["t00001"]
    assert trial.config["start"].trial_id == "t00001", "what a worker that replaces it begins with"
    assert trial.run_metadata.num_failures == 0, "each trial has its own retries"
    assert told_after_a_result(searcher, trial) == "STOP"
    assert len(trial.begun) == 1


def test_the_trial_a_worker_was_handed_is_the_one_lost_with_it() -> None:
    loop = FewTrials(3)
    searcher, trial = started(loop)
    told_after_a_result(searcher, trial)
    searcher.on_trial_complete("ray", error=True)
    assert loop.lost_trials == ["t00001"]


@pytest.mark.parametrize("outgrown", [True, False])
def test_a_worker_that_has_outgrown_its_share_is_not_kept_for_reuse(outgrown: bool) -> None:
    searcher, trial = started(FewTrials(1 + outgrown))
    # The two fields of Ray's controller that decide whether it keeps an actor.
    controller = SimpleNamespace(_trial_to_actor={trial: "actor"}, _started_actors={"actor", "another"})
    assert told_after_a_result(searcher, trial, outgrown, controller) == "STOP"
    assert trial.begun == []
    assert ("actor" in controller._started_actors) is not outgrown
    assert "another" in controller._started_actors


class RayTrial:
    """As much of Ray's trial as is looked at; hashed by identity as Ray's."""

    trial_id = "ray"

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.begun: list[TrialStart] = []
        self.run_metadata = SimpleNamespace(num_failures=1)
        begin = SimpleNamespace(remote=self.begun.append)
        self.temporary_state = SimpleNamespace(ray_actor=SimpleNamespace(begin=begin))


def started(loop: Any) -> tuple[Any, RayTrial]:
    """A searcher that has given Ray its first trial, and that trial."""
    searcher = searcher_of(loop, concurrent=1, proposes_ahead=False)
    return searcher, RayTrial(searcher.suggest("ray"))


def told_after_a_result(
    searcher: Any, trial: RayTrial, outgrown: bool = False, controller: Any = None
) -> str:
    from search.tune_adapter import LoopScheduler

    worker = SimpleNamespace(node="n", pid=1, outgrown=outgrown)
    result = {"result": EpochResult(EpochReport("t00000", 1)), "worker": worker}
    wrapped = SimpleNamespace(_tune_controller=controller)
    return LoopScheduler(searcher._loop, searcher).on_trial_result(wrapped, trial, result)


@pytest.mark.timeout(600)
def test_workers_past_their_memory_are_replaced_between_trials(toprung, job_file, tmp_path: Path) -> None:
    job = job_file(
        search={"trials": 4, "max_epochs": 3},
        resources={
            "concurrent": 2,
            "worker_memory_gb": 0.001,
            "precision": "mixed_bfloat16",
            "steps_per_call": 3,
        },
    )
    done = toprung("search", job).wait()
    assert done.returncode == 0, done.stderr
    trials = pd.read_parquet(tmp_path / "runs" / "small" / "trials")
    assert len(trials) == 4
    assert trials["worker_recycled"].all()
    assert trials["worker_pid"].is_unique, "each trial had a process of its own"
    assert set(trials["precision"]) == {"mixed_bfloat16"} and set(trials["device"]) == {"cpu"}
    assert set(trials["steps_per_call"]) == {3} and not trials["xla"].any()
    assert trials["micro_batch_size"].isna().all(), "batches stayed whole"
    assert (trials["startup_secs"] > 0).all() and (trials["rss_bytes"] > 1e6).all()
    assert set(trials["outcome"]) <= {"COMPLETED", "STOPPED"}
