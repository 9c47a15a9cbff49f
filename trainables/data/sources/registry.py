"""The sources of images. A new one is a line in `SOURCES`, beside the file of its class."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from toprung.spaces.errors import InputError, did_you_mean
from toprung.spaces.user_code.references import is_reference
from toprung.trainables.data.parquet.parquet_source import ParquetSource
from toprung.trainables.data.sources.arrays import DigitsSource
from toprung.trainables.data.sources.folder import FolderSource
from toprung.trainables.data.sources.function import FunctionSource
from toprung.trainables.data.sources.keras_datasets import KerasSource
from toprung.trainables.data.sources.npz import NpzSource

if TYPE_CHECKING:
    from toprung.trainables.data.source_rules.base import Source
    from toprung.trainables.data.source_rules.spec import DataSpec


SOURCES: tuple[type[Source], ...] = (
    DigitsSource,
    FolderSource,
    NpzSource,
    ParquetSource,
    KerasSource,
)
"""Every source that has a name; they are asked in this order whether they recognise a path."""


def source_class(name: str) -> type[Source]:
    """The class of the source that `data.source` names; a reference to user code is a function.

    Raises:
        InputError: There is no such source.
    """
    by_name = {alias: source for source in SOURCES for alias in source.names}
    if name in by_name:
        return by_name[name]
    if is_reference(name):
        return FunctionSource
    hint = did_you_mean(name, by_name)
    allowed = (
        f"must be one of {', '.join(by_name)}, or module:function; a folder or file of images is data.path"
    )
    raise InputError.single("data.source", repr(name), f"{hint} {allowed}".lstrip())


def source_of(path: str | None) -> str:
    """The source of a job that gives `path` and names no source: the first that recognises it, else class folders.

    Raises:
        InputError: `path` is a URI that cannot be opened.
    """
    return next((source for source in SOURCES if source.recognises(path)), FolderSource).names[0]


def with_defaults(spec: DataSpec) -> DataSpec:
    """The spec with the image size of its source where it gives none; raises InputError as `source_class`."""
    if spec.image_size is not None:
        return spec
    return replace(spec, image_size=source_class(spec.source).default_image_size)


def open_source(spec: DataSpec) -> Source:
    """The source that a spec names; raises InputError for an unknown name, or a path that the source cannot use."""
    return source_class(spec.source)(spec)
