"""A function applied by several threads, its results in the order of its inputs."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future, ThreadPoolExecutor

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterator[T], max_ahead: int
) -> Iterator[R]:
    """The results of `function` in the order of `items`, with at most `max_ahead` calls submitted ahead."""
    submitted: deque[Future[R]] = deque()
    try:
        for item in items:
            submitted.append(pool.submit(function, item))
            if len(submitted) >= max_ahead:
                yield submitted.popleft().result()
        while submitted:
            yield submitted.popleft().result()
    finally:
        for future in submitted:
            future.cancel()
