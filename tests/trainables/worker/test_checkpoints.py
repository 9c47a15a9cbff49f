"""A trial's state comes back as it was saved, whole or not at all, and only for what it belongs to."""

from __future__ import annotations

import json
import os
import resource
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from saved_states import best_state

from toprung.trainables.system.storage import Storage
from toprung.trainables.worker.checkpoints import Checkpoint, CheckpointStore

ARRAYS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.array(7, dtype=np.int64)}
HISTORY = ({"trial_id": "t00001", "epoch": 1, "metrics": {"val_accuracy": 0.1 + 0.2}},)


@pytest.fixture(params=["path", "file URI", "awkward name", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return str(request.getfixturevalue("s3").uri("run/checkpoints"))
    awkward = tmp_path / 'it\'s a "run" %20?é'
    places = {"path": str(tmp_path), "file URI": awkward.as_uri(), "awkward name": str(awkward)}
    return f"{places[request.param]}/checkpoints"


def checkpoint(epoch: int = 3, identity: str = "same", trial_id: str = "t00001") -> Checkpoint:
    return Checkpoint(trial_id, epoch, identity, HISTORY, ARRAYS)


def test_what_was_saved_is_loaded_bit_for_bit(root: str) -> None:
    store = CheckpointStore(root)
    store.save(checkpoint())
    store.wait()
    loaded = CheckpointStore(root).load("t00001", "same")
    assert loaded is not None
    assert (loaded.epoch, loaded.history) == (3, HISTORY)
    for name, array in ARRAYS.items():
        assert loaded.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded.arrays[name], array)


def test_the_newest_state_replaces_the_older_one(root: str) -> None:
    store = CheckpointStore(root)
    for epoch in (1, 2, 3):
        store.save(checkpoint(epoch))
    store.wait()
    loaded = store.load("t00001", "same")
    assert loaded is not None and loaded.epoch == 3


def test_what_a_full_disk_did_not_take_is_not_left_there_to_keep_it_full(tmp_path: Path) -> None:
    store, large = CheckpointStore(str(tmp_path)), replace(checkpoint(), arrays={"w": np.ones(10**6)})
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, limit[1]))
    try:
        store.save(large)
        assert not store.settle()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert list(tmp_path.iterdir()) == []


def test_a_state_of_something_else_is_not_taken(root: str) -> None:
    store = CheckpointStore(root)
    store.save(checkpoint(identity="another configuration"))
    store.wait()
    assert store.load("t00001", "same") is None
    assert store.load("t00002", "same") is None


def test_half_a_file_is_never_under_the_name_that_is_read(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path))
    (tmp_path / "t00001.npz.partial").write_bytes(b"PK half")
    assert store.load("t00001", "same") is None


def test_half_a_file_that_a_killed_worker_left_is_deleted_with_its_trial(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path))

    def left() -> list[str]:
        store.save(checkpoint(trial_id="t00009"))
        store.wait()
        return sorted(path.name for path in tmp_path.iterdir())

    half = tmp_path / "t00001.npz.partial"
    half.write_bytes(b"PK half")
    store.discard("t00001")
    assert left() == ["t00009.npz"]
    half.write_bytes(b"PK half" * 10_000)
    store.keep_within(50_000, ["t00001", "t00009"])
    assert left() == ["t00009.npz"], "it makes room where it took some"
    half.write_bytes(b"PK half")
    store.keep_only({"t00009"})
    assert left() == ["t00009.npz"]


def test_a_state_discarded_while_it_is_written_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker, driver = CheckpointStore(str(tmp_path)), CheckpointStore(str(tmp_path))
    rename = os.replace

    def too_late(path: Path, target: Path) -> None:
        driver.keep_only(frozenset())
        rename(path, target)

    monkeypatch.setattr(os, "replace", too_late)
    worker.save(checkpoint())
    assert worker.settle()
    assert not list(tmp_path.iterdir())
    assert caplog.text == "", "it is no write that failed"


def test_a_run_folder_that_was_moved_is_not_made_anew(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    store = CheckpointStore(str(run / "checkpoints"))
    store.save(checkpoint())
    store.wait()
    run.rename(tmp_path / "moved")
    store.save(checkpoint(4))
    assert not store.settle() and not run.exists()
    (told,) = store.take_unsaved()
    assert "the run folder was moved or removed" in told
    (tmp_path / "moved").rename(run)
    store.save(checkpoint(5))
    assert store.settle(), "it is back"


def test_a_state_that_cannot_be_deleted_stays_with_a_line_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = CheckpointStore(str(tmp_path))
    store.save(checkpoint())
    store.wait()
    (tmp_path / "t00000.npz").mkdir()
    store.keep_only(frozenset())
    assert [file.name for file in tmp_path.iterdir()] == ["t00000.npz"]
    assert "the saved state of t00000 is not deleted (" in caplog.text


def test_a_damaged_file_counts_as_no_state(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path))
    store.save(checkpoint())
    store.wait()
    content = (tmp_path / "t00001.npz").read_bytes()
    (tmp_path / "t00001.npz").write_bytes(content[: len(content) // 2])
    assert store.load("t00001", "same") is None


@pytest.mark.parametrize("flipped", [0x01, 0x80])
def test_no_flipped_bit_is_more_than_damage(tmp_path: Path, flipped: int) -> None:
    store = CheckpointStore(str(tmp_path))
    store.save(checkpoint())
    store.wait()
    whole = (tmp_path / "t00001.npz").read_bytes()
    for place in range(len(whole)):
        (tmp_path / "t00001.npz").write_bytes(
            whole[:place] + bytes([whole[place] ^ flipped]) + whole[place + 1 :]
        )
        loaded = store.load("t00001", "same")
        assert loaded is None or loaded.epoch == 3


@pytest.mark.parametrize(
    "meta", [[], {"identity": "same"}, {"identity": "same", "epoch": 1, "history": None}]
)
def test_a_file_that_does_not_say_what_it_holds_counts_as_no_state(tmp_path: Path, meta: object) -> None:
    packed = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    np.savez(tmp_path / "t00001.npz", __meta__=packed, **ARRAYS)
    assert CheckpointStore(str(tmp_path)).load("t00001", "same") is None


def test_only_the_named_trials_are_kept(root: str) -> None:
    store = CheckpointStore(root)
    for number in range(4):
        store.save(checkpoint(trial_id=f"t{number:05d}"))
    store.wait()
    store.keep_only({"t00002"})
    kept = [number for number in range(4) if store.load(f"t{number:05d}", "same")]
    assert kept == [2]


def test_keeping_none_of_a_folder_that_is_not_there_is_no_error(root: str) -> None:
    CheckpointStore(root).keep_only(frozenset())


def saved(root: str, *was_best: bool) -> CheckpointStore:
    """Epochs 1, 2, ... of one trial; each says whether the epoch before it was the best."""
    store = CheckpointStore(root)
    for epoch, newest_was_best in enumerate(was_best, start=1):
        store.save(checkpoint(epoch), newest_was_best)
    store.wait()
    return store


@pytest.mark.parametrize(
    ("was_best", "newest", "best"),
    [((False,), 1, 1), ((False, False), 2, 2), ((False, True), 2, 1), ((False, True, False), 3, 1),
     ((False, True, False, True), 4, 3)],
)  # fmt: skip
def test_the_newest_and_the_best_state_stay(
    root: str, was_best: tuple[bool, ...], newest: int, best: int
) -> None:
    store = saved(root, *was_best)
    found = store.load("t00001", "same"), best_state(store, "t00001", "same")
    assert [state.epoch for state in found if state] == [newest, best]
    assert len(Storage.at(root).entries()) == len({newest, best})


def test_a_trial_goes_back_to_its_best_state_when_the_newest_is_damaged(tmp_path: Path) -> None:
    store = saved(str(tmp_path), False, True)
    (tmp_path / "t00001.npz").write_bytes(b"PK half")
    loaded = store.load("t00001", "same")
    assert loaded is not None and loaded.epoch == 1


def test_a_quota_is_kept_at_the_cost_of_those_named_first(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path))
    for number in range(4):
        store.save(checkpoint(trial_id=f"t{number:05d}"))
    store.wait()
    size = (tmp_path / "t00000.npz").stat().st_size
    store.keep_within(2 * size, ["t00003", "t00009", "t00001", "t00000"])
    store.save(checkpoint(trial_id="t00002"))
    store.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t00000.npz", "t00002.npz"]


def test_the_last_of_many_quotas_is_kept(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path))
    for number in range(30):
        store.save(checkpoint(trial_id=f"t{number:05d}"))
        store.wait()
        size = (tmp_path / f"t{number:05d}.npz").stat().st_size
        store.keep_within(2 * size, [f"t{earlier:05d}" for earlier in range(number)])
    store.save(checkpoint(trial_id="t00099"))
    store.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t00028.npz", "t00029.npz", "t00099.npz"]


def test_a_quota_over_many_states_is_not_looked_after_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def entries(_: Storage) -> list[object]:
        """A folder of so many files that listing it takes a core 20 ms."""
        looks.append(time.thread_time())
        while time.thread_time() < looks[-1] + 0.02:
            pass
        return []

    monkeypatch.setattr(Storage, "entries", entries)
    store = CheckpointStore(str(tmp_path))
    began_secs = time.monotonic()
    while time.monotonic() < began_secs + 0.5:
        store.keep_within(10, [])
        time.sleep(0.005)
    assert 1 <= len(looks) <= 3, "one in 0.4 s, of a hundred calls"


def test_states_that_may_not_go_stay_whatever_the_quota(tmp_path: Path) -> None:
    store = saved(str(tmp_path), False, True)
    store.keep_within(0, [])
    store.save(checkpoint(3))
    store.wait()
    assert len(list(tmp_path.iterdir())) == 2
    store.discard("t00001")
    store.save(checkpoint(trial_id="t00002"))
    store.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["t00002.npz"], (
        "both of a trial's states are discarded"
    )
