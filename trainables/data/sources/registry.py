"""The sources by name."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from toprung.spaces.errors import InputError
from toprung.trainables.data.sources.arrays import DigitsSource
from toprung.trainables.data.sources.folder import FolderSource
from toprung.trainables.data.sources.function import FunctionSource
from toprung.trainables.data.sources.keras_datasets import KEPT, KerasSource
from toprung.trainables.data.sources.npz import NpzSource
from toprung.trainables.data.sources.parquet import ParquetSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from toprung.trainables.data.sources.base import Source
    from toprung.trainables.data.sources.spec import DataSpec


SOURCES: dict[str, Callable[[DataSpec], Source]] = {
    "digits": DigitsSource,
    "folder": FolderSource,
    "parquet": ParquetSource,
    "npz": NpzSource,
    **dict.fromkeys(KEPT, KerasSource),
}


def open_source(spec: DataSpec) -> Source:
    """The source a spec names. Raises InputError on an unknown name, or a path the source cannot use."""
    if spec.source in SOURCES:
        return SOURCES[spec.source](spec)
    module, colon, function = spec.source.rpartition(":")
    if colon and module and function.isidentifier():
        return FunctionSource(spec)
    near = difflib.get_close_matches(spec.source, SOURCES, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    allowed = f"{hint}one of {', '.join(SOURCES)}, or module:function"
    raise InputError.single("data.source", repr(spec.source), allowed)
