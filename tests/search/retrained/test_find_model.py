"""A model is found by its run, its folder or its file, and named as the user knows it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from toprung.search.retrained.find_model import found_model
from toprung.spaces.errors import InputError
from toprung.trainables.saved_model.description import description_of


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run" / "retrain" / "t00001-s7"
    folder.mkdir(parents=True)
    (tmp_path / "run" / "job.yaml").write_text(yaml.safe_dump({"name": "run", "data": "digits"}))
    (folder / "model.keras").write_bytes(b"half a file")
    (folder / "report.json").write_text('{"model": "t00001-s7", "trial_id": "t00001"}')
    (folder.parent / "decisions.json").write_text(
        '[{"model": "t00001-s7", "alias": "champion", "why": "", "promoted": false, "decided_at": ""}]'
    )
    return tmp_path / "run"


@pytest.mark.parametrize("named", [".", "retrain/t00001-s7", "retrain/t00001-s7/model.keras"])
def test_a_damaged_model_is_named_by_its_own_path(run: Path, named: str) -> None:
    with pytest.raises(InputError) as caught, found_model(str(run / named)) as found:
        description_of(found.path, "RUN")
    (problem,) = caught.value.problems
    assert str(problem).startswith(
        f"RUN: {run}/retrain/t00001-s7/model.keras is no such file, or is damaged; "
    )


def test_a_model_that_is_lost_is_told_and_so_is_a_run_without_one(run: Path, tmp_path: Path) -> None:
    (run / "retrain" / "t00001-s7" / "model.keras").unlink()
    with pytest.raises(InputError, match=r"t00001-s7 has lost its model\.keras"), found_model(str(run)):
        pass
    with pytest.raises(InputError, match="holds no model"), found_model(str(tmp_path)):
        pass
