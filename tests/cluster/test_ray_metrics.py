"""The counters of a search, scraped from the metrics endpoints of a real cluster as Prometheus does it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from typing import Any

import pytest

pytestmark = [pytest.mark.slow]

DRIVER = """
import json, sys, ray
from toprung.search.workers.ray_metrics import *

class Counts:
    epochs = 0.0
    def counters(self):
        Counts.epochs = min(81.0, Counts.epochs + 27.0)
        return {(TRIALS, ("outcome", "COMPLETED")): 3.0, (TRIALS, ("outcome", "STOPPED")): 9.0,
                (EPOCHS, ("outcome", "")): Counts.epochs, (PREEMPTIONS, ("outcome", "")): 1.0}
    def gauges(self):
        return {(WORKERS, ("metric", "")): 2.0, (WORKERS_WANTED, ("metric", "")): 4.0,
                (BEST, ("metric", "val_accuracy")): 0.875}

ray.init(address="auto", log_to_driver=False)
with published_to_ray(Counts(), "flowers", period_secs=0.2):
    print(json.dumps([node["MetricsExportPort"] for node in ray.nodes()]), flush=True)
    sys.stdin.readline()
"""
EXPECTED = {
    ("ray_toprung_trials_total", "COMPLETED"): 3.0,
    ("ray_toprung_trials_total", "STOPPED"): 9.0,
    ("ray_toprung_epochs_total", ""): 81.0,
    ("ray_toprung_preemptions_total", ""): 1.0,
    ("ray_toprung_workers", ""): 2.0,
    ("ray_toprung_workers_wanted", ""): 4.0,
    ("ray_toprung_best_value", "val_accuracy"): 0.875,
}


def scraped(ports: list[int]) -> dict[tuple[str, str], float]:
    """The values of the run `flowers`, by name and the label beside the run's."""
    found: dict[tuple[str, str], float] = {}
    for port in ports:
        with suppress(OSError):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
            for name, labels, value in re.findall(r"^(ray_toprung_\w+)\{(.*)\} (\S+)$", text, re.MULTILINE):
                label = dict(re.findall(r'(\w+)="([^"]*)"', labels))
                if label["run"] == "flowers":
                    found[name, label.get("outcome") or label.get("metric") or ""] = float(value)
    return found


def test_a_search_shows_its_counters_at_the_metrics_endpoint_of_its_node(cluster: Any) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER], env=cluster.joined_env, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert driver.stdout is not None
        ports = json.loads(driver.stdout.readline())
        found: dict[tuple[str, str], float] = {}
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not EXPECTED.items() <= found.items():
            time.sleep(0.5)
            found = scraped(ports)
        assert {key: found.get(key) for key in EXPECTED} == EXPECTED, found
    finally:
        driver.communicate("\n", timeout=60)
