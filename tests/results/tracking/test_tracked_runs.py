"""What every tracker keeps to: all of a search is written, nothing twice, whoever wrote before."""

from __future__ import annotations

import importlib.util
import json
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS
from toprung.results.tracking.search_end import SearchEnd
from toprung.results.tracking.search_history import SearchHistory
from toprung.results.tracking.tracked_runs import TrackedRuns
from toprung.results.tracking.tracker_kinds import TRACKERS, connected, load
from toprung.results.tracking.tracking_settings import SearchDescription, Tracking
from toprung.results.tracking.trial_entries import PendingTrialUpdate
from toprung.trainables.trial.objectives import Objective
from toprung.trainables.trial.report import Outcome

DESCRIPTION = SearchDescription(
    "val_accuracy", 4, {"range.learning_rate": "0.1 to 0.2"}, "name: quickstart\n"
)
ENDED = SearchEnd("FINISHED", datetime(2026, 3, 1, 13, 30, tzinfo=UTC))
KILLED = SearchEnd("KILLED", datetime(2026, 3, 1, 13, 0, tzinfo=UTC), "interrupted")

Steps = list[tuple[int, float]]


@dataclass
class Tracked:
    """A search in one tracker, as new processes write it, and what is then found there."""

    tracking: Tracking
    search: Any
    steps: Callable[[str, str], Steps]
    """The history of a metric of a trial."""
    params: Callable[[str], Mapping[str, Any]]
    outcome: Callable[[str], str | None]
    kill: Callable[[], None] = lambda: None
    """End what a process that is killed leaves in this one."""
    begin: Callable[[], None] = lambda: None
    """Wait for what lies between two processes."""

    def write(self, end: SearchEnd | None, only: str = "") -> set[str]:
        """What the tracker lacked, once a driver's new process has written the tables; without an end it was killed."""
        return self._written(end, only, begins=True)

    def synced(self) -> set[str]:
        """What the tracker lacked, once `toprung sync` has written the tables."""
        return self._written(ENDED, "", begins=False)

    def _written(self, end: SearchEnd | None, only: str, begins: bool) -> set[str]:
        history = SearchHistory(Objective.named("val_accuracy"))
        updates: dict[str, PendingTrialUpdate] = {}
        self.begin()
        for table, rows in self.search.rows.items():
            for row in rows:
                history.add(table, row)
                update = updates.setdefault(row["trial_id"], PendingTrialUpdate())
                if table == PROPOSALS:
                    update.proposal = row
                elif table == EPOCHS:
                    update.epochs[row["epoch"]] = row
                elif table == TRIALS:
                    update.end = row
        runs: TrackedRuns = connected(self.tracking, history.facts())
        if begins:
            runs.begin_search()
        for trial_id, update in updates.items():
            if only in ("", trial_id):
                runs.write(trial_id, update)
        runs.describe_search(history.facts())
        if end is None:
            self.kill()
        else:
            runs.end_search(end)
        return runs.written


def mlflow_reader(tracking: Tracking, written: Any) -> dict[str, Any]:
    return {
        "steps": lambda trial_id, key: written(tracking).steps(trial_id, key),
        "params": lambda trial_id: written(tracking).children[trial_id].data.params,
        "outcome": lambda trial_id: written(tracking).children[trial_id].data.tags.get("toprung.outcome"),
    }


def tensorboard_events(tracking: Tracking, name: str) -> Iterator[Any]:
    """The events of a run by the format's own description, check sums included."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    (file,) = (Path(tracking.uri) / name).glob("*tfevents*")
    content, place = file.read_bytes(), 0
    while place < len(content):
        length, checked = struct.unpack_from("<QI", content, place)
        assert checked == masked_crc32c(content[place : place + 8])
        event = content[place + 12 : place + 12 + length]
        (checked,) = struct.unpack_from("<I", content, place + 12 + length)
        assert checked == masked_crc32c(event)
        place += 16 + length
        yield Event.FromString(event)


def tensorboard_reader(tracking: Tracking) -> dict[str, Any]:
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    def values(trial_id: str, tag: str) -> Iterator[tuple[int, Any]]:
        for event in tensorboard_events(tracking, trial_id):
            yield from ((event.step, value) for value in event.summary.value if value.tag == tag)

    def params(trial_id: str) -> dict[str, Any]:
        ((_, start),) = values(trial_id, "_hparams_/session_start_info")
        hparams = HParamsPluginData.FromString(start.metadata.plugin_data.content).session_start_info.hparams
        return {name: getattr(value, value.WhichOneof("kind")) for name, value in hparams.items()}

    def outcome(trial_id: str) -> str | None:
        told = [value.tensor.string_val[0].decode() for _, value in values(trial_id, "toprung.outcome")]
        return told[-1] if told else None

    return {
        "steps": lambda trial_id, tag: [
            (step, round(value.simple_value, 6)) for step, value in values(trial_id, tag)
        ],
        "params": params,
        "outcome": outcome,
    }


def wandb_records(tracking: Tracking, name: str) -> Iterator[Any]:
    """The records of an offline run, of all sessions in order: blocks of 32 kB, as LevelDB's log has them."""
    from wandb.proto.wandb_internal_pb2 import Record

    for file in sorted(Path(str(tracking.artifacts)).glob(f"wandb/offline-run-*-{name}/*.wandb")):
        content, place, record = file.read_bytes(), 7, b""
        while place + 7 <= len(content):
            left = 32768 - place % 32768
            _, length, kind = struct.unpack_from("<IHB", content, place)
            if left < 7 or kind == 0:
                place += left
                continue
            record += content[place + 7 : place + 7 + length]
            place += 7 + length
            if kind in (1, 4):  # whole, or its last part
                yield Record.FromString(record)
                record = b""


def wandb_reader(tracking: Tracking) -> dict[str, Any]:
    def records(trial_id: str, kind: str) -> list[Any]:
        found = wandb_records(tracking, f"{tracking.identity}-{trial_id}")
        return [getattr(one, kind) for one in found if one.WhichOneof("record_type") == kind]

    def steps(trial_id: str, key: str) -> Steps:
        rows = [(one.step.num, item) for one in records(trial_id, "history") for item in one.item]
        found = [(step, json.loads(item.value_json)) for step, item in rows if [*item.nested_key] == [key]]
        # What a kill left open is sent again: W&B's server drops a step that is not above the last one.
        return list({step: (step, value) for step, value in reversed(found)}.values())[::-1]

    def params(trial_id: str) -> dict[str, Any]:
        given = [one for run in records(trial_id, "run") for one in run.config.update]
        return {one.key: json.loads(one.value_json) for one in given}

    def outcome(trial_id: str) -> str | None:
        told = [
            one for summary in records(trial_id, "summary") for one in summary.update if one.key == "outcome"
        ]
        return json.loads(told[-1].value_json) if told else None

    return {"steps": steps, "params": params, "outcome": outcome}


def next_second() -> None:
    """W&B names the folder of an offline session by its second, and a process takes longer than that to start."""
    time.sleep(1 - time.time() % 1)


KINDS = [
    "tensorboard",
    pytest.param("mlflow", marks=pytest.mark.slow),
    pytest.param("wandb", marks=pytest.mark.slow),
]


@pytest.fixture(params=KINDS)
def tracked(request: Any, search: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracked:
    made: Tracked = request.getfixturevalue(f"{request.param}_tracked")
    load(made.tracking)
    return made


@pytest.fixture
def tensorboard_tracked(search: Any, tmp_path: Path) -> Tracked:
    folder = str(tmp_path / "tensorboard")
    own = Tracking(folder, "digits", "quickstart", identity="5f1e", search=DESCRIPTION, tracker="tensorboard")
    return Tracked(own, search, **tensorboard_reader(own))


@pytest.fixture
def wandb_tracked(search: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracked:
    wandb = pytest.importorskip("wandb", reason="wandb is optional")
    monkeypatch.setenv("WANDB_MODE", "offline")
    own = Tracking("", "digits", "quickstart", str(tmp_path), {}, "5f1e", DESCRIPTION, "wandb")
    return Tracked(own, search, **wandb_reader(own), kill=wandb.teardown, begin=next_second)


@pytest.fixture
def mlflow_tracked(search: Any, tracking: Tracking, written: Any) -> Tracked:
    return Tracked(tracking, search, **mlflow_reader(tracking, written))


def test_all_of_a_trial_is_written(tracked: Tracked) -> None:
    whole = tracked.search.trial([0.5, 0.75])
    cut = tracked.search.trial([0.25], Outcome.STOPPED)
    bad = tracked.search.trial([0.5, float("nan")], Outcome.DIVERGED)
    assert tracked.write(ENDED) == {whole, cut, bad, tracked.tracking.run}
    assert tracked.steps(whole, "val_accuracy") == [(1, 0.5), (2, 0.75)]
    assert tracked.steps(bad, "val_accuracy") == [(1, 0.5)], "no NaN on the charts"
    assert [tracked.outcome(one) for one in (whole, cut, bad)] == ["COMPLETED", "STOPPED", "DIVERGED"]
    params = {name: str(value) for name, value in tracked.params(cut).items()}
    assert params["optimizer"] == "sgd" and params["nesterov"] == "True" and float(params["blocks"]) == 3


def test_what_is_there_is_not_written_again(tracked: Tracked) -> None:
    tracked.search.trial([0.5, 0.75])
    tracked.search.trial([0.25], Outcome.STOPPED)
    tracked.write(ENDED)
    assert tracked.synced() == set()
    assert tracked.steps("t00000", "val_accuracy") == [(1, 0.5), (2, 0.75)]


def test_a_search_that_is_killed_and_continued_has_every_epoch_once(tracked: Tracked) -> None:
    tracked.search.trial([0.5], Outcome.STOPPED)
    tracked.search.trial([0.5], None)
    tracked.write(None)
    tracked.search.go_on("t00001", [0.5, 0.875], None, first_epoch=2)
    tracked.write(KILLED)
    tracked.search.go_on("t00001", [0.5, 0.875, 0.75], first_epoch=3)
    assert "t00001" in tracked.write(ENDED)
    assert tracked.steps("t00001", "val_accuracy") == [(1, 0.5), (2, 0.875), (3, 0.75)]
    assert tracked.outcome("t00001") == "COMPLETED"
    assert tracked.synced() == set()


def test_what_an_earlier_process_missed_is_caught_up(tracked: Tracked) -> None:
    first, second = tracked.search.trial([0.5]), tracked.search.trial([0.25, 0.5])
    assert first in tracked.write(KILLED, only=first)
    found = tracked.write(ENDED)
    assert second in found and first not in found
    assert tracked.steps(second, "val_accuracy") == [(1, 0.25), (2, 0.5)]


def test_a_record_that_a_kill_cut_in_two_is_written_again(tensorboard_tracked: Tracked) -> None:
    tracked = tensorboard_tracked
    tracked.search.trial([0.5, 0.75])
    tracked.write(ENDED)
    (file,) = Path(tracked.tracking.uri).glob("t00000/*tfevents*")
    content = file.read_bytes()
    for kept in range(0, len(content), 97):
        file.write_bytes(content[:kept])
        assert tracked.synced() == {"t00000"}
        assert file.read_bytes() == content


def test_the_job_names_each_tracker_that_there_is() -> None:
    from toprung.search.jobs.schema import Job

    names = [name for name in TRACKERS if name != "mlflow"]
    job = Job.from_dict({"name": "a", "data": "digits", "tracking": {"also": [*names, *names]}})
    assert job.tracking.also == names
    assert all(importlib.util.find_spec(kind.runs.partition(":")[0]) for kind in TRACKERS.values())
