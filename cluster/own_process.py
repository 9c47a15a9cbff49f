"""Runs one function in a process of its own on the cluster, where no other computes on its cores or its GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class OwnProcessError(RuntimeError):
    """The function raised or its process died: go on without its result."""


def run_in_own_process(function: Callable[[], T], cpus: float, gpus: float) -> T:
    """Wait until `cpus` cores and `gpus` GPUs of a node are free, then run `function` there and return its result.

    Raises:
        OwnProcessError: The function raised, or its process died.
    """
    import ray

    def call() -> T:
        return function()

    # A process gives a GPU's memory back only when it ends: one call each.
    remote = ray.remote(num_gpus=gpus, num_cpus=cpus, max_calls=1, max_retries=0)(call)
    try:
        result: T = ray.get(remote.remote())
    except ray.exceptions.RayError as error:
        raise OwnProcessError(str(error).strip().splitlines()[-1]) from error
    return result
