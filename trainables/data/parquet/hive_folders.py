"""Folders that say something of the files in them, as in split=train/label=cat/part-0.parquet: Hive's partitions.

pandas, Spark, DuckDB and Arrow write a table so where they are told to partition it; the columns of the folders are
then in no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from toprung.trainables.data.source_rules.split_names import split_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

SPLIT_KEYS = ("split", "subset", "partition", "set")
LABEL_KEYS = ("label", "labels", "class", "class_name", "category", "target", "y")
NULL = "__HIVE_DEFAULT_PARTITION__"


def is_hive(folder: str) -> bool:
    """Whether the name of a folder is KEY=VALUE."""
    key, equals, value = folder.partition("=")
    return bool(equals and value and key.isidentifier())


def folder_values(folders: Iterable[str]) -> dict[str, str | None]:
    """Key -> value, None for a missing one, of those folders that are KEY=VALUE."""
    pairs = (folder.partition("=")[::2] for folder in folders if is_hive(folder))
    return {key: None if value == NULL else unquote(value) for key, value in pairs}


def split_word(values: Mapping[str, str | None]) -> str | None:
    """The split, as `split_file` gives it, that one of the folders names; None where none does."""
    words = (split_file(value) for key, value in values.items() if key.lower() in SPLIT_KEYS and value)
    return next((word for word in words if word), None)


def label_key(wanted: str, default: str, keys: Collection[str]) -> str | None:
    """The key of the folders that holds the labels of a file that has no column `wanted`; None where none does.

    It is `wanted`, or where the job names none (`wanted` is `default`) the only one that is called like a label.
    """
    if wanted in keys or wanted != default:
        return wanted if wanted in keys else None
    named = [key for key in keys if key.lower() in LABEL_KEYS]
    return named[0] if len(named) == 1 else None
