"""The Keras trials of a job in a stock Ray Tune experiment."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from toprung.spaces.errors import InputError

README = Path(__file__).parents[3] / "README.md"


@pytest.mark.slow
def test_the_experiment_shown_in_the_readme_trains_what_a_search_would(
    tmp_path: Path, job_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    import ray

    (code,) = re.findall(
        r"```python\n(from ray import tune\n\nfrom toprung.search.integrations.keras_trial.*?)```",
        README.read_text(),
        flags=re.DOTALL,
    )
    job = job_file(search={"max_epochs": 3})
    kept_here = (
        f"job.trainable(),\n    run_config=tune.RunConfig(storage_path={str(tmp_path)!r}, verbose=0),\n"
    )
    for old, new in (
        ('"digits.yaml"', repr(str(job))),
        ("num_samples=30", "num_samples=4"),
        ("max_concurrent_trials=2", "max_concurrent_trials=1"),
        ("job.trainable(),\n", kept_here),
        ("print(tuner.fit()", "results = tuner.fit()\nprint(results"),
    ):
        assert old in code
        code = code.replace(old, new, 1)
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
    )
    try:
        names: dict[str, object] = {}
        exec(compile(code, "README.md", "exec"), names)
    finally:
        ray.shutdown()
    results = list(names["results"])  # type: ignore[call-overload]
    assert "learning_rate" in capsys.readouterr().out
    assert [one.error for one in results] == [None] * 4
    assert len({one.metrics["pid"] for one in results}) == 1, "the process stays warm"
    assert all(one.metrics["val_accuracy"] > 0.2 for one in results)
    # The ladder of 1 and 3 epochs: some are stopped, some trained to the end.
    assert {one.metrics["training_iteration"] for one in results} == {1, 3}


def test_a_job_of_several_objectives_is_refused(job_file: Callable[..., Path]) -> None:
    from toprung.search.integrations.keras_trial import TunedJob

    job = job_file(search={"objectives": ["val_accuracy", "parameter_count"]})
    with pytest.raises(InputError, match=r"search\.objectives: val_accuracy, parameter_count; must be empty"):
        TunedJob.read(job)
