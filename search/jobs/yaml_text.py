"""The YAML text of a job file, and `a.b=value` overrides laid over its content."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from toprung.search.jobs.problems import SHORTEST_JOB
from toprung.search.jobs.yaml_loader import MAX_BYTES, MAX_VALUES, StrictLoader, UnreadableYamlError
from toprung.spaces.errors import InputError
from toprung.trainables.system.uris import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

READABLE = "give a YAML text file"
MAX_KEY_PARTS = 8


def read_file(path: Path, sections: Collection[str] = ()) -> dict[str, Any]:
    """Read a file's keys and values.

    A key that is none of `sections` and only holds what `<<` merges elsewhere is left out.

    Raises:
        InputError: It cannot be read or is no YAML mapping.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError.single(str(path), "no such file", "give the path of a job file") from None
    except (OSError, ValueError) as error:  # a name may hold what no file's name may
        raise InputError.single(str(path), f"cannot be read ({error})", READABLE) from None
    return read_mapping(content, str(path), sections)


def read_mapping(content: bytes, where: str, sections: Collection[str] = ()) -> dict[str, Any]:
    """As `read_file`, from UTF-8 text; `where` names the text in the problems."""
    try:
        found, templates = _load(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError.single(where, f"cannot be read ({error})", READABLE) from None
    except UnreadableYamlError as error:
        raise InputError.single(f"{where}{error.position}", str(error), "must be valid YAML") from None
    if found is None:
        raise InputError.single(where, "the file is empty", SHORTEST_JOB)
    if not isinstance(found, dict):
        given = f"{type(found).__name__} at the top level"
        raise InputError.single(where, given, f"must be keys and values; {SHORTEST_JOB}")
    return {key: value for key, value in found.items() if key in sections or key not in templates}


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
    parts = key.split(".")
    if not equals or not all(parts) or len(parts) > MAX_KEY_PARTS:
        raise InputError.single(
            "--set", mask_secrets(repr(override)), "must be KEY.KEY=VALUE, as in search.trials=40"
        )
    if key == "search.trials" and text.startswith("+"):
        rule = "must be a number here; only `toprung search` and `simulate` add to the trials of a run"
        raise InputError.single(f"--set {key}", f"{text!r} given", rule)
    try:
        value, _ = _load(text)
    except UnreadableYamlError as error:
        raise InputError.single(f"--set {key}", str(error), "the value must be valid YAML") from None
    *parents, last = parts
    section = content
    for parent in parents:
        inner = section.get(parent)
        if not isinstance(inner, dict):
            inner = {short_forms[parent]: inner} if parent in short_forms and isinstance(inner, str) else {}
        # A copy: an anchor may give two sections the same mapping.
        section[parent] = inner = dict(inner)
        section = inner
    section[last] = value


def _load(text: str) -> tuple[Any, frozenset[str]]:
    """The value of a YAML text, and the keys at its top that others merge.

    Raises:
        UnreadableYamlError: Whatever PyYAML finds wrong with it.
    """
    if len(text) > MAX_BYTES:
        raise UnreadableYamlError(f"the text is longer than {MAX_BYTES:,} characters")
    loader = None
    try:
        loader = StrictLoader(text)
        return loader.get_single_data(), loader.templates
    except UnreadableYamlError:
        raise
    except RecursionError:
        raise UnreadableYamlError("values are nested too deeply, or hold themselves") from None
    except MemoryError:
        raise UnreadableYamlError(f"holds more than {MAX_VALUES:,} values") from None
    except Exception as error:  # PyYAML lets through what Python's own types raise
        raise UnreadableYamlError.of(error) from None
    finally:
        if loader is not None:
            loader.dispose()
