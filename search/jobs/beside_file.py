"""Relative paths in a job file lead to files in the working folder, else to files beside the job file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.system.uris import is_uri

PATH, CODE, WEIGHTS = "path", "code", "weights"
KEYS: Mapping[tuple[str, ...], str] = {
    ("data", "path"): PATH,
    ("data", "source"): CODE,
    ("space", "name"): CODE,
    ("space", "fixed", "weights"): WEIGHTS,
    ("search", "sampler"): CODE,
}
"""The keys of a job that may name files, and how: a path, "file.py:name", or a file of weights beside other words."""


def with_files_beside(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The keys and values of a job, with the paths of files that lie only in `folder` made absolute."""

    replaced = dict(content)
    for keys, kind in KEYS.items():
        value = _value(content, keys)
        path = _file(value, kind)
        if path is not None and not _exists(path) and _exists(folder / path):
            name = f":{value.rpartition(':')[2]}" if kind == CODE else ""
            _put(replaced, keys, f"{folder / path}{name}")
    return replaced


def check_files(content: Mapping[str, Any], folder: Path) -> None:
    """Raise InputError with a problem for each file that is neither in the working folder nor in `folder`."""
    looked = f"{Path.cwd()} (the working folder)"
    if folder != Path.cwd():
        looked += f" or in {folder} (beside the job file)"
    named = {keys: _file(_value(content, keys), kind) for keys, kind in KEYS.items()}
    problems = [
        Problem(".".join(keys), f"{str(path)!r} is not in {looked}", "a file or folder that is there")
        for keys, path in named.items()
        if path is not None and not _exists(path) and not _exists(folder / path)
    ]
    if problems:
        raise InputError(problems)


def _value(content: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    value: Any = content
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _put(content: dict[str, Any], keys: tuple[str, ...], value: str) -> None:
    """Set the value at `keys`; the mappings on the way are copied."""
    for key in keys[:-1]:
        content[key] = dict(content[key])
        content = content[key]
    content[keys[-1]] = value


def _file(value: Any, kind: str) -> Path | None:
    """The relative local path that a value names, if it names one."""
    if not isinstance(value, str) or is_uri(value):
        return None
    text = value.rpartition(":")[0] if kind == CODE else value
    if (
        not text
        or (kind == CODE and not text.endswith(".py"))
        or (kind == WEIGHTS and not text.endswith(".h5"))
    ):
        return None
    path = Path(text)
    return None if path.is_absolute() or text.startswith("~") else path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, or a folder that may not be entered
        return False
