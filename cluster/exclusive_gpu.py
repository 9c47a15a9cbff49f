"""Runs one function in a process of its own that has a whole GPU of the cluster to itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class ExclusiveGpuError(RuntimeError):
    """The function raised or its process died: go on without its result."""


def run_with_exclusive_gpu(function: Callable[[], T], cpus: float) -> T:
    """Wait until a GPU and `cpus` cores are free, then run `function` there and return its result.

    Raises:
        ExclusiveGpuError: The function raised, or its process died.
    """
    import ray

    def call() -> T:
        return function()

    # A process gives a GPU's memory back only when it ends: one call each.
    remote = ray.remote(num_gpus=1, num_cpus=cpus, max_calls=1, max_retries=0)(call)
    try:
        result: T = ray.get(remote.remote())
    except ray.exceptions.RayError as error:
        raise ExclusiveGpuError(str(error).strip().splitlines()[-1]) from error
    return result
