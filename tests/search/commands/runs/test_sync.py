"""`toprung sync`: every tracker of a run is brought up to date, once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from toprung.search.commands.runs.sync import sync
from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.errors import InputError


def test_a_tracker_beside_mlflow_is_written_and_a_second_call_finds_nothing_to_write(
    made_run: Callable[..., RunFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made_run(trials=6)
    also = ["tracking.also=[tensorboard]"]  # the job of the run has MLflow off
    sync(folder, also)
    assert "wrote 7 runs to TensorBoard, which had the other 0 already" in capsys.readouterr().out
    sync(folder, also)
    told = capsys.readouterr().out
    assert "wrote 0 runs to TensorBoard, which had the other 7 already" in told
    assert f"tensorboard {folder.root}/tensorboard" in told


def test_a_run_without_a_tracker_is_told(made_run: Callable[..., RunFolder]) -> None:
    with pytest.raises(InputError, match=r"^tracking\.enabled: false in the run's job; add `--set"):
        sync(made_run(trials=2))
