"""Search: the job, the strategy, the driver, the retraining, the command line.

Public names: `Job` is a search job, and `run` runs one. They are imported when they are used, so that the command
line starts fast.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toprung.search.python_interface import Job, run

__all__ = ["Job", "run"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from toprung.search import python_interface

    return getattr(python_interface, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
