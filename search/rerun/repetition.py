"""The training that repeats a recorded one, in this process or on a node of a cluster, and where it was computed."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toprung.cluster.session import TrialResources, connected
from toprung.cluster.worker_demand import LOOK_EVERY_SECS, WorkerDemand
from toprung.search.driver.search_failure import SearchFailedError
from toprung.search.rerun.environment import Environment
from toprung.spaces.errors import InputError, first_line
from toprung.trainables.worker.repeated_trial import repeat_trial

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ray import ObjectRef, ObjectRefGenerator

    from toprung.trainables.trial.execution import ExecutionPlan
    from toprung.trainables.trial.messages import EpochResult, TrialStart
    from toprung.trainables.worker.plan import TrialPlan


@dataclass(frozen=True)
class Repetition:
    """What the process that trains is sent; as of `repeat_trial`."""

    plan: TrialPlan
    start: TrialStart
    execution: ExecutionPlan | None
    epochs: int

    def carried_out(self, address: str | None, wait_secs: float) -> Iterator[EpochResult | Environment]:
        """Train; the result of each epoch, at last where and how it was computed.

        Args:
            address: The Ray cluster that trains, see `run_search`; None trains in this process, unless it is part of a
                Ray job.
            wait_secs: For how long the cluster may have no node that can hold the training.

        Raises:
            ClusterUnreachableError: No cluster answers at the address, or no node came in time.
            SearchFailedError: The node or its process was lost, or the training raised an error.
            InputError: No node can ever hold it, or it raised one.
        """
        if address is None and "RAY_ADDRESS" not in os.environ:
            return self.here()
        return self._on_cluster(address, wait_secs)

    def here(self) -> Iterator[EpochResult | Environment]:
        """Train in this process."""
        for result in repeat_trial(self.plan, self.start, self.execution, self.epochs):
            yield result
        yield Environment.of_this_process(result.execution, self.plan.cpus, self.plan.family.fingerprint)

    def _on_cluster(self, address: str | None, wait_secs: float) -> Iterator[EpochResult | Environment]:
        import ray

        cpus, gpus = self.plan.cpus, self.plan.gpus
        resources = TrialResources(cpus, gpus, concurrent=1)
        with connected(address, resources):
            # A process gives a GPU's memory back only when it ends: one task each.
            task = ray.remote(
                num_cpus=cpus, num_gpus=gpus, max_calls=1, max_retries=0, num_returns="streaming"
            )(_messages)
            stream = task.options(name=f"rerun {self.start.trial_id}").remote(self)
            try:
                yield from _received(stream, WorkerDemand(resources, wait_secs))
            except ray.exceptions.RayTaskError as error:
                raise SearchFailedError(first_line(str(error).strip().rpartition("\n")[2])) from None
            except ray.exceptions.RayError as error:
                reason = first_line(str(error).strip().partition("\n")[0])
                lost = f"the rerun of {self.start.trial_id} lost its worker ({reason})"
                raise SearchFailedError(f"{lost}; the same command starts over") from None
            finally:
                with suppress(ray.exceptions.RayError):
                    ray.cancel(stream, force=True)


def _received(stream: ObjectRefGenerator, demand: WorkerDemand) -> Iterator[EpochResult | Environment]:
    """What the task sends; until it has begun, what the cluster lacks is said."""
    import ray

    has_begun = False
    while (reference := _next(stream, None if has_begun else demand)) is not None:
        has_begun, message = True, ray.get(reference)
        if isinstance(message, BaseException):
            raise message
        yield message


def _next(stream: ObjectRefGenerator, demand: WorkerDemand | None) -> ObjectRef | None:
    """The next message; None after the last one."""
    import ray

    while not ray.wait([stream], timeout=LOOK_EVERY_SECS, fetch_local=False)[0]:
        if demand is not None:
            demand.check(0)
    return next(stream, None)


def _messages(work: Repetition) -> Iterator[EpochResult | Environment | InputError]:
    """What the driver is sent; an error of the project as a value, since Ray would wrap it into its own."""
    try:
        yield from work.here()
    except InputError as error:
        yield error
