"""The YAML text of a job file, and `a.b=value` overrides laid over its content."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from toprung.search.jobs.problems import SHORTEST_JOB
from toprung.spaces.errors import InputError
from toprung.trainables.system.uris import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

READABLE = "give a YAML text file"


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML in which a key given twice is an error; plain YAML takes the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]  # type: ignore[no-untyped-call]
        for index, key in enumerate(keys):
            if key in keys[:index]:
                mark = node.value[index][0].start_mark
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", mark)
        return super().construct_mapping(node, deep=deep)


def read_file(path: Path) -> dict[str, Any]:
    """Read a file's keys and values. Raises `InputError` when it cannot be read or is no YAML mapping."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError.single(str(path), "no such file", "give the path of a job file") from None
    except OSError as error:
        raise InputError.single(str(path), f"cannot be read ({error})", READABLE) from None
    return read_mapping(content, str(path))


def read_mapping(content: bytes, where: str) -> dict[str, Any]:
    """Read keys and values from UTF-8 YAML; `where` names the text in the problems."""
    try:
        found = yaml.load(content.decode("utf-8"), Loader=_UniqueKeyLoader)
    except UnicodeDecodeError as error:
        raise InputError.single(where, f"cannot be read ({error})", READABLE) from None
    except yaml.YAMLError as error:
        raise InputError.single(_with_line(where, error), _first_line(error), "must be valid YAML") from None
    if found is None:
        raise InputError.single(where, "the file is empty", SHORTEST_JOB)
    if not isinstance(found, dict):
        given = f"{type(found).__name__} at the top level"
        raise InputError.single(where, given, f"must be keys and values; {SHORTEST_JOB}")
    return found


def apply_override(content: dict[str, Any], override: str, short_forms: Mapping[str, str]) -> None:
    """Lay one `a.b=value` over the content, in place; the value is YAML.

    Args:
        content: Keys and values of a job file.
        override: The text as typed after `--set`.
        short_forms: By section, the key that a bare text stands for: `data: digits` is `data: {source: digits}`.

    Raises:
        InputError: The text is not of this form, or its value is no YAML.
    """
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise InputError.single(
            "--set", mask_secrets(repr(override)), "must be KEY.KEY=VALUE, as in search.trials=40"
        )
    if key == "search.trials" and text.startswith("+"):
        rule = "must be a number here; only `toprung search` and `simulate` add to the trials of a run"
        raise InputError.single(f"--set {key}", f"{text!r} given", rule)
    try:
        value = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        raise InputError.single(f"--set {key}", _first_line(error), "the value must be valid YAML") from None
    *parents, last = key.split(".")
    section = content
    for parent in parents:
        inner = section.get(parent)
        if not isinstance(inner, dict):
            inner = {short_forms[parent]: inner} if parent in short_forms and isinstance(inner, str) else {}
            section[parent] = inner
        section = inner
    section[last] = value


def _with_line(where: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where


def _first_line(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or error).splitlines()[0]
