"""Choosing how to compute by timing a few steps, once for each kind of device of a search.

What counts is the time of a whole trial: most trials of a search are short, and where their models differ each has one
to compile, for which XLA takes seconds. On a CPU nothing is timed: most of them have no fast path for bfloat16, and XLA
makes small convolutions two to three times slower there. On an accelerator the fastest choice depends on the device,
the network, the images and the search.
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


# A choice that comes later in the list, and is less simple, must save this share of the time: timings are inexact, and
# a choice that does not change between runs repeats their results.
WORTHWHILE = 0.05
STEPS_PER_CALL = (None, 64, 16)
Value = TypeVar("Value")


@dataclass(frozen=True)
class Device:
    """What a process computes on: `name` is the vendor's name of it, or "cpu"."""

    name: str = "cpu"
    accelerated: bool = False
    always_xla: bool = False


@dataclass(frozen=True)
class Workload:
    """What the trials of a search are like: the epochs that one trains on average, and example configurations.

    There are as many examples as a worker trains trials, or enough to estimate how often a model is used again. No
    examples stand for trials that each have a model of their own.
    """

    epochs: float = 1.0
    examples: tuple[Mapping[str, Any], ...] = ()


class TrialCost(NamedTuple):
    """What an average trial takes of a worker: the models it has to build, at most one, and its training steps."""

    models: float
    steps: float


class TimedModel(Protocol):
    """A model that can be timed."""

    ready_secs: float
    """Seconds until it was built and compiled and had made a first step."""

    def secs_per_step(self, steps_per_call: int | None) -> float:
        """Seconds of a training step without compiling, with at most `steps_per_call` steps in a call."""


def execution_candidates(request: ExecutionRequest, device: Device) -> list[ExecutionPlan]:
    """The plans that a request allows on a device, the simplest first."""
    precisions = (FLOAT32,) if not device.accelerated else PRECISIONS
    switches = (False, True) if device.accelerated else (False,)
    if request.precision is not None:
        precisions = (request.precision,)
    if request.xla is not None:
        switches = (request.xla,)
    if device.always_xla:
        switches = (True,)
    return [
        ExecutionPlan(precision, xla, request.steps_per_call) for precision in precisions for xla in switches
    ]


def choose_execution(
    request: ExecutionRequest,
    device: Device,
    build: Callable[[ExecutionPlan], TimedModel],
    trial_cost: Callable[[], TrialCost],
    store: AutotuneStore | None = None,
) -> ExecutionPlan:
    """The plan with which an average trial takes the least time.

    Args:
        request: What the job asks for; what it leaves open is timed.
        device: The device of this process.
        build: Builds a model for a plan, anew at each call.
        trial_cost: What an average trial takes; called only where something is timed.
        store: Earlier choices. One for this kind of device and this request is used without timing, and a new
            choice is added.

    Raises:
        Exception: What the last candidate raised, when all run out of memory; one that does is left out otherwise.
    """
    candidates = execution_candidates(request, device)
    if len(candidates) == 1 and (request.steps_per_call is not None or not device.accelerated):
        return candidates[0]
    earlier = store.read(device.name, request) if store else None
    if earlier is not None:
        return earlier
    plan, model = _fastest_plan(candidates, build, trial_cost())
    if request.steps_per_call is None:
        secs = {steps: model.secs_per_step(steps) for steps in STEPS_PER_CALL}
        plan = replace(plan, steps_per_call=fastest(secs.items()))
    if store:
        store.write(device.name, request, plan)
    return plan


def _fastest_plan(
    candidates: list[ExecutionPlan], build: Callable[[ExecutionPlan], TimedModel], trial_cost: TrialCost
) -> tuple[ExecutionPlan, TimedModel]:
    if len(candidates) == 1:
        return candidates[0], build(candidates[0])
    built: dict[ExecutionPlan, TimedModel] = {}
    secs: dict[ExecutionPlan, float] = {}
    out_of_memory: Exception | None = None
    # The first candidate is built twice: what a process loads with its first model must not count against it.
    for candidate in (candidates[0], *candidates):
        secs.pop(candidate, None)
        try:
            model = built[candidate] = build(candidate)
            step_secs = model.secs_per_step(candidate.steps_per_call)
            secs[candidate] = trial_cost.models * model.ready_secs + trial_cost.steps * step_secs
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            out_of_memory = error
    if out_of_memory is not None and not secs:
        raise out_of_memory
    best = fastest(secs.items())
    return best, built[best]


def fastest(timings: Iterable[tuple[Value, float]]) -> Value:
    """The value with the fewest seconds; a later one wins only if it saves at least a twentieth."""
    (best, fewest), *later = timings
    for value, secs in later:
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
