"""The table `space`: the parameters of a job's space, with what a job fixes and when each exists."""

from __future__ import annotations

import json
from pathlib import Path

from toprung.results.tables.parts import read_table
from toprung.results.tables.schema import SPACE, run_schemas
from toprung.results.tables.space_rows import space_rows
from toprung.results.tables.writer import RunWriter
from toprung.spaces.families.registry import load_space


def test_the_space_of_a_job_is_a_table(tmp_path: Path) -> None:
    fixed, ranges = {"flip": True}, {"learning_rate": [1e-3, 1e-2], "filters": {"choices": [8, 16]}}
    with RunWriter(tmp_path, run_schemas({})) as writer:
        for row in space_rows(load_space("cnn", fixed, ranges)):
            writer.append(SPACE, row)
    space = read_table(tmp_path, SPACE).set_index("name")
    rate = space.loc["learning_rate"]
    assert (rate["kind"], rate["low"], rate["high"], bool(rate["log"])) == ("float", 1e-3, 1e-2, True)
    assert space.loc["filters", "kind"] == "categorical" and json.loads(space.loc["filters", "choices"]) == [
        8,
        16,
    ]
    assert space.loc["momentum", "condition"] == "optimizer == 'sgd'"
    assert (space.loc["flip", "kind"], json.loads(space.loc["flip", "fixed"])) == ("constant", True)
    assert json.loads(space.loc["clip_norm", "fixed"]) == 0.0
    assert space.loc["optimizer", "condition"] is None or space.loc[["optimizer"], "condition"].isna().all()
    assert not space.index.has_duplicates and (space["run"] == tmp_path.name).all()
