"""Keeps the driver's AWS keys out of Ray, which writes the environment of Ray Tune's workers to its logs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def aws_keys_withheld() -> Iterator[None]:
    """Start workers of Ray Tune without the driver's AWS keys within the block: each node has its own.

    Ray Tune would put them into the workers' runtime environment, which is kept on the head and logged on every node.
    """
    from ray.tune.execution import class_cache

    names = class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.ENV_VARS_TO_PROPAGATE = {name for name in names if not name.startswith("AWS_")}
    try:
        yield
    finally:
        class_cache.ENV_VARS_TO_PROPAGATE = names
