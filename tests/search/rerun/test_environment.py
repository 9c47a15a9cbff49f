"""What is otherwise about a second training is named as far as the row tells."""

from __future__ import annotations

import json

import pandas as pd

from toprung.search.rerun.environment import Environment
from toprung.trainables.trial.execution import ExecutionRecord
from toprung.trainables.worker.preflight import installed_versions

ROW = {"device": "cpu", "precision": "float32", "xla": False, "micro_batch_size": pd.NA, "cpus": 2.0,
       "worker_node": None, "code_fingerprint": None}  # fmt: skip
CPU = ExecutionRecord("cpu", "float32", False, 4)


def test_what_is_the_same_or_not_known_is_no_difference() -> None:
    row = {**ROW, "versions": json.dumps(installed_versions())}
    now = Environment.of_this_process(CPU, 2.0, "")
    assert list(Environment.recorded(row).differences(now)) == []
    assert Environment.recorded(row).unknown == ("node",)
    assert Environment.recorded({}).unknown[0] == "versions"
    assert list(Environment.recorded({}).differences(now)) == []


def test_versions_device_precision_cores_and_code_that_differ_are_named_with_both_values() -> None:
    versions = {**installed_versions(), "Keras": "3.0.0"}
    row = {**ROW, "versions": json.dumps(versions), "micro_batch_size": 16, "code_fingerprint": "a" * 64}
    now = Environment.of_this_process(ExecutionRecord("NVIDIA H200", "mixed_bfloat16", True), 1.0, "b" * 64)
    assert list(Environment.recorded(row).differences(now)) == [
        f"Keras {installed_versions()['Keras']} (in the search 3.0.0)",
        "device NVIDIA H200 (in the search cpu)",
        "precision mixed_bfloat16 (in the search float32)",
        "xla on (in the search off)",
        "images in a micro-batch all of the batch (in the search 16)",
        "cpus 1 (in the search 2)",
        "code bbbbbbbbbbbb (in the search aaaaaaaaaaaa)",
    ]
