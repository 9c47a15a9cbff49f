"""Has a user's models tried before a search: what would fail or be lost in every trial is told in one line."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toprung.search.preparation.trial_plan import trial_plan
from toprung.spaces.errors import InputError, Problem, first_line
from toprung.spaces.families.built_in import BUILT_IN
from toprung.spaces.user_code.slow_code import told_if_slow
from toprung.trainables.probes.model_probe import ProbeRequest
from toprung.trainables.system.resource_limits import memory_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from toprung.search.preparation.prepare import PreparedJob
    from toprung.search.runs.run_folder import RunFolder

MAX_MODELS = 40
TIMEOUT_SECS = 600.0
SLOW_PROBE_SECS = 60.0
MEMORY_SHARE = 0.8
CONFIG_CHARS = 120


def probe_models(prepared: PreparedJob, folder: RunFolder) -> int:
    """Build the models of the job's first configurations, train each on a batch, save it and read it back.

    Families of this package are not tried; they are tested. A configuration is tried for each of
    `search.initial_configs`, else the first one that the search would try.

    Returns:
        How many models were tried.

    Raises:
        InputError: With a problem for each model that is not sound.
    """
    if prepared.job.family in BUILT_IN:
        return 0
    configs = first_configs_to_try(prepared)
    plan = replace(trial_plan(prepared, folder), autotune=None, gpus=0.0)
    with told_if_slow(f"models of {prepared.job.space.name} are being built and tried", SLOW_PROBE_SECS):
        found = list(_tried(ProbeRequest(plan, configs, int(MEMORY_SHARE * memory_bytes()))))
    if problems := [
        Problem("space.name", f"{_named(prepared, config)}: {given}", allowed)
        for config, (given, allowed) in zip(configs, found, strict=True)
        if given
    ]:
        raise InputError(problems)
    return len(found)


def first_configs_to_try(prepared: PreparedJob) -> list[dict[str, Any]]:
    """The configurations of the first trials: those that the job gives, or one; equal ones once."""
    count = min(MAX_MODELS, len(prepared.job.search.initial_configs or [0]))
    configs: list[dict[str, Any]] = []
    for _ in range(count):
        proposal = prepared.strategy.ask()
        if proposal is not None and proposal.config not in configs:
            configs.append(proposal.config)
    return configs


def _tried(request: ProbeRequest) -> Iterator[tuple[str, str]]:
    """For each configuration what is wrong and what to change, empty where nothing is.

    A model whose process dies is one that is wrong, and the next process goes on behind it.
    """
    left: Sequence[Mapping[str, object]] = request.configs
    while left:
        results, ended = _run(replace(request, configs=left))
        yield from results
        left = left[len(results) :]
        if left and ended is not None:
            yield f"the process that builds it ended ({ended})", "make the model smaller, or mend its build"
            left = left[1:]


def _run(request: ProbeRequest) -> tuple[list[tuple[str, str]], str | None]:
    """The results of one process, and how it ended if it did not reach the end."""
    with tempfile.TemporaryDirectory(prefix="toprung-") as scratch:
        file = Path(scratch) / "results"
        file.touch()
        command = [sys.executable, "-P", "-m", "toprung.trainables.probes.model_probe", str(file)]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        try:
            ended = subprocess.run(
                command,
                input=pickle.dumps(request),
                capture_output=True,
                timeout=TIMEOUT_SECS,
                env=environment,
                check=False,
            )
            how = _end_of(ended) if ended.returncode else None
        except subprocess.TimeoutExpired:
            how = f"no answer within {TIMEOUT_SECS:.0f} seconds"
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        results = [("", "") if line is None else (line[0], line[1]) for line in lines]
    return results, how or (None if len(results) == len(request.configs) else "without an answer")


def _end_of(ended: subprocess.CompletedProcess[bytes]) -> str:
    """How a process ended: its exit code, and the exception where Python says one."""
    told = ended.stderr.decode(errors="replace").strip()
    exception = first_line(told.rpartition("\n")[2]) if "Traceback" in told else ""
    return ", ".join(filter(None, [f"exit code {ended.returncode}", exception]))


def _named(prepared: PreparedJob, config: Mapping[str, Any]) -> str:
    """The family and the configuration, of which only what models of a family differ in is shown."""
    drawn = ", ".join(f"{name}={value!r}" for name, value in config.items())
    name = prepared.job.space.name
    return f"{name} with {first_line(drawn, CONFIG_CHARS)}"
