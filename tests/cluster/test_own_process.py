"""What is measured in a process of its own, under real Ray; its GPU is one in name, as Ray takes it on trust."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from toprung.cluster.own_process import OwnProcessError, run_in_own_process
from toprung.cluster.session import TrialResources, capacity_of, trials_per_gpu
from toprung.spaces.errors import InputError
from toprung.trainables.probes.gpu_probe import GpuNeed

pytestmark = [pytest.mark.slow]
NEED = TrialResources(cpus=1, gpus=0, concurrent=None)


@pytest.fixture(scope="module")
def one_gpu() -> Iterator[None]:
    import ray

    ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_a_process_of_its_own_that_sees_the_gpu(one_gpu: None) -> None:
    process, visible = run_in_own_process(
        lambda: (os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"]), cpus=1, gpus=1
    )
    assert process != os.getpid()
    assert visible == "0"


def fails() -> None:
    raise ValueError("no such network")


@pytest.mark.parametrize(
    ("function", "evidence"), [(fails, "no such network"), (lambda: os._exit(1), "died")]
)
def test_what_fails_there_is_one_error_here(one_gpu: None, function, evidence: str) -> None:
    with pytest.raises(OwnProcessError, match=evidence):
        run_in_own_process(function, cpus=1, gpus=1)


def test_trials_to_a_gpu_by_cores_and_by_what_runs_at_once(one_gpu: None) -> None:
    assert trials_per_gpu(NEED) == 2
    assert trials_per_gpu(replace(NEED, concurrent=1)) == 1
    assert trials_per_gpu(replace(NEED, cpus=2)) == 1
    assert capacity_of(replace(NEED, gpus=0.5), "").concurrent == 2
    with pytest.raises(InputError, match=r"resources\.cpus: 3 requested"):
        capacity_of(replace(NEED, cpus=3, gpus=1), "")


def test_the_share_follows_the_need(one_gpu: None) -> None:
    from toprung.search.preparation.gpu_sharing import share_from_measurement

    share, line = share_from_measurement(lambda: GpuNeed(2**30, 81_920, 8), most=2, cpus=1)
    assert (share, line) == (
        0.5,
        "0.5 of one for each trial; 8 configurations took up to 1,024 of its 81,920 MiB",
    )
    assert share_from_measurement(lambda: None, most=2, cpus=1)[0] == 1.0
    assert share_from_measurement(fails, most=2, cpus=1)[0] == 1.0  # type: ignore[arg-type]


def test_a_search_of_real_networks_is_measured(
    one_gpu: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Eight networks of the CNN space are built and take a step; without a real GPU no device reports their memory."""
    from toprung.search.jobs.schema import Job
    from toprung.search.preparation.gpu_sharing import measure_gpu_share, probe_configs
    from toprung.search.preparation.prepare import prepare
    from toprung.search.preparation.trial_plan import trial_plan
    from toprung.search.runs.run_folder import RunFolder

    job = Job.from_dict(
        {
            "name": "measured",
            "data": "digits",
            "resources": {"gpus": "auto"},
            "storage": {"path": str(tmp_path)},
            "space": {"ranges": {"filters": {"choices": [8]}, "blocks": [1, 2]}},
        },
        "job",
    )
    prepared = prepare(job)
    assert len(probe_configs(prepared)) == 8
    plan = trial_plan(prepared, RunFolder(job.run_root))
    caplog.set_level(logging.INFO, "toprung")
    assert measure_gpu_share(prepared, plan, NEED, earlier=0.0) == 1.0
    assert "no device reported the memory that its configurations take" in caplog.text
    assert measure_gpu_share(prepared, plan, NEED, earlier=0.5) == 0.5, "a run goes on as it began"
