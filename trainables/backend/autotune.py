"""Choosing how to compute by timing a few steps, once for each kind of device of a search.

What counts is the time of a whole trial: most trials of a search are short, and where their models differ each has one
to compile, for which XLA takes seconds. On a CPU nothing is timed: bfloat16 has no fast path in most of them, and XLA
makes small convolutions two to three times slower there. Elsewhere which is faster depends on the device, the network,
the images, and the search.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from toprung.trainables.trial.execution import FLOAT32, PRECISIONS, ExecutionPlan, ExecutionRequest
from toprung.trainables.trial.failures import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


# What is less simple has to be faster by this share: the clock is not exact, and equal choices repeat exactly.
WORTHWHILE = 0.05
STEPS_PER_CALL = (None, 64, 16)
Value = TypeVar("Value")


@dataclass(frozen=True)
class Device:
    """What a process computes on: `kind` is the vendor's name for it, or "cpu"."""

    kind: str = "cpu"
    accelerated: bool = False
    always_xla: bool = False


@dataclass(frozen=True)
class Workload:
    """What the trials of a search are like: epochs that one trains on average, and examples of configurations.

    There are as many examples as a worker trains trials, or enough of them to tell how often a model comes again; none
    stand for trials that all have a model of their own.
    """

    epochs: float = 1.0
    examples: tuple[Mapping[str, Any], ...] = ()


class TrialCost(NamedTuple):
    """What an average trial takes of a worker: models to make ready, at most one, and training steps."""

    models: float
    steps: float


class TimedModel(Protocol):
    """A model that can be timed."""

    ready_secs: float
    """Seconds until it was built and compiled and had made a first step."""

    def secs_per_step(self, steps_per_call: int | None) -> float:
        """Seconds of a training step, compiling left out, with at most so many steps in a call."""


def execution_candidates(asked: ExecutionRequest, device: Device) -> list[ExecutionPlan]:
    """What the job leaves open on this device, the simplest first; a single one where there is nothing to choose."""
    precisions = (FLOAT32,) if not device.accelerated else PRECISIONS
    switches = (False, True) if device.accelerated else (False,)
    if asked.precision is not None:
        precisions = (asked.precision,)
    if asked.xla is not None:
        switches = (asked.xla,)
    if device.always_xla:
        switches = (True,)
    return [
        ExecutionPlan(precision, xla, asked.steps_per_call) for precision in precisions for xla in switches
    ]


def choose_execution(
    asked: ExecutionRequest,
    device: Device,
    build: Callable[[ExecutionPlan], TimedModel],
    per_trial: Callable[[], TrialCost],
    choices: AutotuneStore | None = None,
) -> ExecutionPlan:
    """The candidate with which an average trial takes least time, by the model that `build` gives anew at each call.

    `per_trial` is asked only where something is timed.
    An earlier choice on this kind of device, kept in `choices`, is taken without timing. A candidate that runs out of
    memory is left out; raises what the last one raised when all do.
    """
    open_ones = execution_candidates(asked, device)
    if len(open_ones) == 1 and (asked.steps_per_call is not None or not device.accelerated):
        return open_ones[0]
    earlier = choices.read(device.kind, asked) if choices else None
    if earlier is not None:
        return earlier
    found, model = _fastest(open_ones, build, per_trial())
    if asked.steps_per_call is None:
        secs = {steps: model.secs_per_step(steps) for steps in STEPS_PER_CALL}
        found = replace(found, steps_per_call=least(secs.items()))
    if choices:
        choices.write(device.kind, asked, found)
    return found


def _fastest(
    open_ones: list[ExecutionPlan], build: Callable[[ExecutionPlan], TimedModel], per_trial: TrialCost
) -> tuple[ExecutionPlan, TimedModel]:
    if len(open_ones) == 1:
        return open_ones[0], build(open_ones[0])
    built: dict[ExecutionPlan, TimedModel] = {}
    secs: dict[ExecutionPlan, float] = {}
    short: Exception | None = None
    # The first is built in vain before: what a process loads with its first model must not count as that one's.
    for candidate in (open_ones[0], *open_ones):
        secs.pop(candidate, None)
        try:
            model = built[candidate] = build(candidate)
            step_secs = model.secs_per_step(candidate.steps_per_call)
            secs[candidate] = per_trial.models * model.ready_secs + per_trial.steps * step_secs
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            short = error
    if short is not None and not secs:
        raise short
    best = least(secs.items())
    return best, built[best]


def least(timed: Iterable[tuple[Value, float]]) -> Value:
    """The value with the fewest seconds; a later one counts only when it saves at least a twentieth."""
    (best, fewest), *others = timed
    for value, secs in others:
        if secs < (1.0 - WORTHWHILE) * fewest:
            best, fewest = value, secs
    return best


class AutotuneStore:
    """The plan that a search chose for each kind of device, a JSON file each under `root`, a local folder or a URI.

    With `read_only` nothing is kept: a retraining's choice is for one long training.
    """

    def __init__(self, root: str, read_only: bool = False) -> None:
        from toprung.trainables.system.storage import Storage  # pyarrow, which nothing else here needs

        self._storage, self._read_only = Storage.at(root), read_only

    def read(self, device_kind: str, request: ExecutionRequest) -> ExecutionPlan | None:
        """The plan chosen for the same request, None where there is none that can be read."""
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            content: dict[str, Any] = json.loads(bytes(self._storage.read(_file_name(device_kind))))
            if content["request"] == asdict(request):
                return ExecutionPlan(**content["plan"])
        return None

    def write(self, device_kind: str, request: ExecutionRequest, plan: ExecutionPlan) -> None:
        """Keep a plan. Of workers that choose at once the last one's stands; a trial under way keeps its own."""
        if not self._read_only:
            text = json.dumps({"request": asdict(request), "plan": asdict(plan)}, indent=2)
            self._storage.put(_file_name(device_kind), text.encode())


def _file_name(device_kind: str) -> str:
    return f"{re.sub('[^A-Za-z0-9]+', '-', device_kind)}.json"
