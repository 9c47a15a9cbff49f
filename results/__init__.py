"""Results of a search: Parquet tables, which are the truth, and what is derived from them.

Public names: `load` opens a run, and `Run` is what it returns. They are imported when they are used, so that the
command line starts fast.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toprung.results.run import Run, load

__all__ = ["Run", "load"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from toprung.results import run

    return getattr(run, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
