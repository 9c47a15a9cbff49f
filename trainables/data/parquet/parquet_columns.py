"""Which columns of a Parquet file hold the images and the labels, and what the classes are called."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toprung.spaces.errors import Problem
from toprung.trainables.data.parquet.hive_folders import label_key
from toprung.trainables.data.parquet.label_columns import holds_labels
from toprung.trainables.data.source_rules.first_names import first_names
from toprung.trainables.data.source_rules.spec import DataSpec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from toprung.trainables.data.source_rules.paths import Place

MAX_NAMED = 10  # columns


@dataclass(frozen=True)
class Columns:
    """Where the images and the labels are.

    image: the column of the images.
    label: that of the labels, or the key of the folders that hold them.
    class_names: those that the file gives; None where it gives none.
    others: columns that are not used.
    is_label_in_folders: whether the labels are in the names of folders, as in label=cat.
    """

    image: str
    label: str
    class_names: tuple[str, ...] | None
    others: tuple[str, ...] = ()
    is_label_in_folders: bool = False

    @classmethod
    def of(cls, schema: Any, spec: DataSpec, folder_keys: Collection[str] = ()) -> Columns:
        """Choose the columns of a file.

        The columns that the job names, or `image` and `label`. A file that has no column of these two names has others:
        the only ones that dataset hubs declare as Image and ClassLabel in the schema, else the only ones of a fitting
        type. Labels that are in no column may be in folders (see `hive_folders`).

        Args:
            schema: The file's `pyarrow.Schema`.
            spec: Names the columns.
            folder_keys: The keys of the folders that the file is in.
        """
        features = _features(schema)
        image = _only_column(
            schema, spec.image_column, DataSpec.image_column, _declared(features, "Image"), _holds_images
        )
        others = [name for name in schema.names if name != image]
        key = label_key(spec.label_column, DataSpec.label_column, folder_keys)
        if key is not None and spec.label_column not in schema.names:
            return cls(image, key, None, tuple(others), is_label_in_folders=True)
        declared = [name for name in _declared(features, "ClassLabel") if name in others]
        label = _only_column(schema, spec.label_column, DataSpec.label_column, declared, holds_labels, others)
        unused = tuple(name for name in schema.names if name not in (image, label))
        return cls(image, label, _class_names(features.get(label)), unused)

    def problems(self, file: Place, schema: Any) -> list[Problem]:
        """What keeps a file's columns from being used: one is missing, or holds something else."""
        columns = {"image_column": self.image}
        if not self.is_label_in_folders:
            columns["label_column"] = self.label
        there = f"one of the columns of {file}: {', '.join(schema.names)}"
        missing = [
            Problem(f"data.{key}", repr(name), there)
            for key, name in columns.items()
            if name not in schema.names
        ]
        if missing:
            return missing
        found = []
        image_type = schema.field(self.image).type
        if not _holds_images(image_type):
            given = f"{self.image!r} of {file} holds {image_type}"
            allowed = "encoded images: binary, or a struct with a binary field 'bytes'"
            found.append(Problem("data.image_column", given, allowed))
        if not self.is_label_in_folders and not holds_labels(schema.field(self.label).type):
            given = f"{self.label!r} of {file} holds {schema.field(self.label).type}"
            allowed = "class numbers (integers from 0), texts, or lists of them"
            found.append(Problem("data.label_column", given, allowed))
        return found

    def notes(self, spec: DataSpec) -> Iterator[str]:
        """A line where other columns are used than the job names, and one of those that are not used."""
        if self.is_label_in_folders:
            yield f"labels are the names of the folders {self.label}=..., images are in the column {self.image!r}"
        elif (self.image, self.label) != (spec.image_column, spec.label_column):
            yield f"images are in the column {self.image!r}, labels in {self.label!r}"
        if self.others:
            yield f"columns that are not used: {first_names(self.others, MAX_NAMED)}"


def _only_column(
    schema: Any,
    wanted: str,
    default: str,
    declared: list[str],
    fits: Any,
    among: Collection[str] | None = None,
) -> str:
    if wanted in schema.names or wanted != default:
        return wanted
    if len(declared) == 1:
        return declared[0]
    fitting = [name for name in among or schema.names if fits(schema.field(name).type)]
    return fitting[0] if len(fitting) == 1 and not declared else wanted


def _holds_images(arrow_type: Any) -> bool:
    import pyarrow.types as types

    fields = range(arrow_type.num_fields) if types.is_struct(arrow_type) else ()
    names = [arrow_type.field(number).name for number in fields]
    inner = arrow_type.field("bytes").type if "bytes" in names else arrow_type
    return bool(types.is_binary(inner) or types.is_large_binary(inner))


def _features(schema: Any) -> Mapping[str, Any]:
    """What hubs say of the columns, as JSON under the schema's key `huggingface`; nothing where they do not."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _declared(features: Mapping[str, Any], kind: str) -> list[str]:
    """The columns of a kind, or lists of it."""
    return [name for name, feature in features.items() if _inner(feature).get("_type") == kind]


def _class_names(feature: Any) -> tuple[str, ...] | None:
    names = _inner(feature).get("names")
    if isinstance(names, dict):  # {"0": "cat", "1": "dog"}
        names = [names[key] for key in sorted(names, key=int)] if all(map(str.isdecimal, names)) else None
    return tuple(map(str, names)) if isinstance(names, list) else None


def _inner(feature: Any) -> Mapping[str, Any]:
    """A feature as a mapping; of a list, that of its values."""
    while isinstance(feature, dict) and feature.get("_type") in ("Sequence", "List", "LargeList"):
        feature = feature.get("feature")
    if isinstance(feature, list):
        feature = feature[0] if feature else None
    return feature if isinstance(feature, dict) else {}
