"""Linear algebra on one thread: the driver shares its cores with workers, and its matrices are small.

Several threads that wait for each other on busy cores took ten times as long as one, and sums in another order
would make a proposal depend on the machine's number of cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the block's BLAS calls on one thread."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
