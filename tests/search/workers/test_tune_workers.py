"""What Ray Tune is given: a slot at the dispatcher for each worker, and none that is not needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from toprung.cluster.session import TrialResources
from toprung.cluster.worker_demand import WorkerDemand
from toprung.search.workers.slots import WorkerEnd

pytestmark = pytest.mark.slow


class FakeDispatcher:
    """Opens as many slots as it has trials, and keeps which were closed."""

    def __init__(self, trials: int) -> None:
        self.slots, self.connected, self.left, self.finished = 0, 0, trials, False
        self.closed: list[tuple[str, WorkerEnd]] = []

    def raise_error(self) -> None: ...

    def open_slot(self, slot: str) -> bool:
        is_open, self.left = self.left > 0, self.left - 1
        self.slots += is_open
        return is_open

    def close_slot(self, slot: str, end: WorkerEnd, cause: str = "") -> None:
        self.closed.append((slot, end))


def searcher_of(dispatcher: FakeDispatcher, wanted: int = 2) -> Any:
    from toprung.search.workers.tune_workers import WorkerSlotSearcher

    demand = WorkerDemand(TrialResources(1, 0, wanted), nodes=lambda: [{"CPU": 2.0}])
    return WorkerSlotSearcher(dispatcher, demand)  # type: ignore[arg-type]


def test_there_are_no_more_slots_than_workers_and_none_without_a_trial() -> None:
    searcher = searcher_of(FakeDispatcher(trials=9))
    assert [searcher.suggest(name) for name in "abc"] == [{"slot": "a"}, {"slot": "b"}, None]
    searcher = searcher_of(FakeDispatcher(trials=1))
    assert [searcher.suggest(name) for name in "ab"] == [{"slot": "a"}, None]


def test_ray_hears_that_no_more_workers_are_needed() -> None:
    dispatcher = FakeDispatcher(trials=0)
    searcher = searcher_of(dispatcher)
    assert searcher.suggest("a") is None
    dispatcher.finished = True
    assert searcher.suggest("a") == "FINISHED"


def test_the_dispatcher_hears_whether_a_worker_shut_down_or_died() -> None:
    dispatcher = FakeDispatcher(trials=2)
    searcher = searcher_of(dispatcher)
    searcher.on_trial_complete("a", result={})
    searcher.on_trial_complete("b", error=True)
    assert dispatcher.closed == [("a", WorkerEnd.SHUT_DOWN), ("b", WorkerEnd.DIED)]


@pytest.mark.parametrize(
    ("error", "is_node_dead", "end", "cause"),
    [
        (
            "Failure # 1\nThe actor died because its node has died. Node Id: 12",
            False,
            WorkerEnd.NODE_DIED,
            "",
        ),
        ("The actor 1f is unavailable: lost", False, WorkerEnd.DIED, "The actor 1f is unavailable: lost"),
        ("The actor 1f is unavailable: lost", True, WorkerEnd.NODE_DIED, ""),
        ("Failure # 1\nRayTaskError\n  File x\nValueError: bad\n", False, WorkerEnd.DIED, "ValueError: bad"),
        ("", False, WorkerEnd.DIED, ""),
    ],
)
def test_rays_error_and_the_node_itself_tell_whether_it_died(
    error: str, is_node_dead: bool, end: WorkerEnd, cause: str
) -> None:
    from toprung.search.workers.tune_workers import end_of_worker

    assert end_of_worker(error, is_node_dead) == (end, cause)


@pytest.mark.timeout(600)
def test_workers_past_their_memory_are_replaced_between_trials(on_cluster, job_file, tmp_path: Path) -> None:
    job = job_file(
        search={"trials": 3, "max_epochs": 3},
        resources={
            "concurrent": 2,
            "gpus": "auto",
            "worker_memory_gb": 0.001,
            "precision": "mixed_bfloat16",
            "steps_per_call": 3,
        },
    )
    done = on_cluster("search", job).wait()
    assert done.returncode == 0, done.stderr
    trials = pd.read_parquet(tmp_path / "runs" / "small" / "trials")
    assert len(trials) == 3
    assert (trials["gpus"] == 0).all(), "there is none to share"
    assert trials["worker_recycled"].all()
    assert trials["worker_pid"].is_unique, "each trial had a process of its own"
    assert set(trials["precision"]) == {"mixed_bfloat16"} and set(trials["device"]) == {"cpu"}
    assert set(trials["steps_per_call"]) == {3} and not trials["xla"].any()
    assert trials["micro_batch_size"].isna().all(), "batches stayed whole"
    assert (trials["worker_startup_secs"] > 0).all() and (trials["rss_bytes"] > 1e6).all()
    assert set(trials["outcome"]) <= {"COMPLETED", "STOPPED"}


HANGING_MODEL = """
import time

from toprung.trainables.models.cnn import CnnFamily


class Hanging(CnnFamily):
    def space(self, trial):
        return super().space(trial) | {"hangs": trial.suggest_categorical("hangs", [False, True])}

    def build(self, config, task):
        time.sleep(600 if config["hangs"] else 0)
        return super().build(config, task)
"""


@pytest.mark.timeout(600)
def test_a_trial_that_hangs_is_over_when_its_time_is_and_its_worker_replaced(
    on_cluster, job_file, tmp_path: Path
) -> None:
    (tmp_path / "hanging.py").write_text(HANGING_MODEL)
    job = job_file(
        search={"trials": 2, "max_epochs": 3, "initial_configs": [{"hangs": True}, {"hangs": False}]},
        space={"name": f"{tmp_path / 'hanging.py'}:Hanging"},
        resources={"concurrent": 1, "max_epoch_hours": 30 / 3600},
    )
    done = on_cluster("search", job).wait()
    assert done.returncode == 0, done.stderr
    trials = pd.read_parquet(tmp_path / "runs" / "small" / "trials").set_index("trial_id")
    hung, trained = trials.loc["t00000"], trials.loc["t00001"]
    assert hung["outcome"] == "TIMEOUT" and "resources.max_epoch_hours" in hung["reason"]
    assert hung["trial_setup_secs"] >= 30
    assert trained["outcome"] == "COMPLETED"
    assert trained["worker_pid"] != hung["worker_pid"]
