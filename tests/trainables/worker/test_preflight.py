"""Whether a node is fit for a search: its versions, its storage, its images and its accelerator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from toprung.spaces.errors import InputError
from toprung.spaces.user_code.source_files import SourceFile
from toprung.trainables.data.dataset import DataSpec, load
from toprung.trainables.system.storage import Storage
from toprung.trainables.worker.plan import DriverFacts, Rules, TrialPlan
from toprung.trainables.worker.preflight import (
    TOKEN_FILE,
    accelerator_problem,
    announce,
    images_problem,
    installed_versions,
    node_problem,
    storage_problem,
    version_problem,
)

DIGITS = DataSpec(source="digits", image_size=8)


def plan_of(
    root: Path, fingerprint: str | None = None, data: DataSpec = DIGITS, gpus: float = 0.0
) -> TrialPlan:
    rules = Rules(max_epochs=1, data_fingerprint=fingerprint or load(DIGITS).fingerprint)
    facts = announce(str(root))
    return TrialPlan(
        data, SourceFile(data.source), SourceFile("cnn"), str(root), rules, 1.0, gpus, preflight=facts
    )


def test_the_drivers_own_machine_is_fit(tmp_path: Path) -> None:
    assert node_problem(plan_of(tmp_path)) is None


def test_a_plan_that_no_driver_sent_is_compared_with_nothing(tmp_path: Path) -> None:
    assert node_problem(replace(plan_of(tmp_path, "another"), preflight=None)) is None


def test_every_version_that_differs_is_named_with_the_drivers() -> None:
    here = installed_versions()
    assert version_problem(here, here) is None
    assert {"Python", "toprung", "Keras", "the Keras backend", "Ray"} == set(here)
    problem = version_problem({**here, "Keras": "2.0", "Ray": "1.0"}, here)
    assert problem == (
        f"Keras is {here['Keras']} and the driver's is 2.0, Ray is {here['Ray']} and the driver's is 1.0: "
        "install the same versions on every node"
    )


def test_another_backend_on_a_node_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = installed_versions()
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert "the Keras backend is jax" in str(version_problem(driver, installed_versions()))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "it lacks what the driver wrote there"), (b"older", "it holds what another driver wrote")],
)
def test_a_folder_that_is_not_shared_is_told_by_its_path(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    if content:
        Storage.at(tmp_path).put(TOKEN_FILE, content)
    problem = storage_problem(DriverFacts({}, str(tmp_path), "newer"), wait_secs=0)
    assert problem is not None
    assert problem.startswith(f"{tmp_path} is not the run's storage: {reason}; storage.path must be a folder")


def test_a_token_may_take_a_moment_to_appear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = DriverFacts({}, str(tmp_path), "newer")
    monkeypatch.setattr("time.sleep", lambda _: Storage.at(tmp_path).put(TOKEN_FILE, b"newer"))
    assert storage_problem(facts) is None


def test_each_start_of_a_driver_writes_its_own_token(tmp_path: Path) -> None:
    first, second = announce(str(tmp_path)), announce(str(tmp_path))
    assert storage_problem(second, wait_secs=0) is None
    assert storage_problem(first, wait_secs=0) is not None


def test_other_images_and_images_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    problem = images_problem(plan_of(tmp_path, "f" * 64))
    assert problem is not None and problem.endswith(", expected ffffffffffff")
    missing = DataSpec(source="npz", path=str(tmp_path / "none.npz"), image_size=8)
    with pytest.raises(InputError):
        load(missing)
    assert "none.npz" in str(images_problem(plan_of(tmp_path, data=missing)))


def test_a_gpu_that_the_backend_does_not_see_is_told_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[SimpleNamespace] = []
    monkeypatch.setattr("toprung.trainables.worker.preflight.start_worker_backend", started.append)
    monkeypatch.setattr("toprung.trainables.backend.engine.has_accelerator", lambda: False)
    assert accelerator_problem(plan_of(tmp_path)) is None and not started, (
        "no backend is imported for nothing"
    )
    whole, shared = plan_of(tmp_path, gpus=1.0), plan_of(tmp_path, gpus=0.5)
    assert accelerator_problem(whole) == "Ray gives 1 GPU, TensorFlow sees none: pip install 'toprung[gpu]'"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert (
        accelerator_problem(shared) == "Ray gives 0.5 of a GPU, JAX sees none: pip install 'toprung[gpu-jax]'"
    )
    monkeypatch.setattr("toprung.trainables.backend.engine.has_accelerator", lambda: True)
    assert accelerator_problem(whole) is None
