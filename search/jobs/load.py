"""A job file and its --set overrides, read into a `JobSpec` with every problem told at once."""

from __future__ import annotations

import difflib
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ValidationError

from toprung.search.jobs.schema import JobSpec
from toprung.spaces.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

SHORT = {"data": "source", "space": "name"}  # sections of which a text alone gives this key
NAME_RULE = "must be up to 100 letters, digits, dots, dashes and underscores, the first a letter or digit"


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML where a key given twice is an error instead of the last one winning silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]  # type: ignore[no-untyped-call]
        for index, key in enumerate(keys):
            if key in keys[:index]:
                mark = node.value[index][0].start_mark
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", mark)
        return super().construct_mapping(node, deep=deep)


def load_job(path: str | Path, overrides: Sequence[str] = ()) -> JobSpec:
    """Read and validate a job file.

    `overrides` are `a.b=value` texts, the value in YAML, laid over the file. Raises `InputError` with every
    problem found: file, YAML path, what was given, what is allowed.
    """
    path = Path(path)
    content = read_mapping(_content(path), str(path))
    for override in overrides:
        _apply_override(content, override)
    content.setdefault("name", path.stem)
    return parse_job(content, str(path))


def parse_job(content: Mapping[str, Any], where: str) -> JobSpec:
    """Validate the content of a job file; `where` names it in the problems."""
    try:
        return JobSpec.model_validate(content)
    except ValidationError as error:
        raise InputError(_joined(_problem(dict(detail), where) for detail in error.errors())) from None


def override_job(job: JobSpec, overrides: Sequence[str]) -> JobSpec:
    """The job with `a.b=value` texts laid over it, validated again."""
    content = job.model_dump(mode="json")
    for override in overrides:
        _apply_override(content, override)
    return parse_job(content, "--set")


def dump_job(job: JobSpec) -> str:
    """The effective job as YAML, every default written out."""
    return yaml.safe_dump(job.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def read_mapping(content: bytes, where: str) -> dict[str, Any]:
    """The keys and values of a job file's content; `where` names it in the problems."""
    try:
        found = yaml.load(content.decode("utf-8"), Loader=_UniqueKeyLoader)
    except UnicodeDecodeError as error:
        raise InputError.single(where, f"cannot be read ({error})", "give a YAML text file") from None
    except yaml.YAMLError as error:
        raise InputError.single(_marked(where, error), _first_line(error), "must be valid YAML") from None
    if found is None:
        raise InputError.single(where, "the file is empty", "the shortest job is `data: digits`")
    if not isinstance(found, dict):
        given = f"{type(found).__name__} at the top level"
        raise InputError.single(where, given, "must be keys and values; the shortest job is `data: digits`")
    return found


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError.single(str(path), "no such file", "give the path of a job file") from None
    except OSError as error:
        raise InputError.single(str(path), f"cannot be read ({error})", "give a YAML text file") from None


def _marked(where: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where


def _first_line(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or error).splitlines()[0]


def _apply_override(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise InputError.single("--set", f"{override!r}", "must be KEY.KEY=VALUE, as in search.trials=40")
    try:
        value = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        raise InputError.single(f"--set {key}", _first_line(error), "the value must be valid YAML") from None
    *parents, last = key.split(".")
    node = content
    for parent in parents:
        child = node.get(parent)
        if not isinstance(child, dict):
            child = {SHORT[parent]: child} if parent in SHORT and isinstance(child, str) else {}
            node[parent] = child
        node = child
    node[last] = value


def _problem(detail: Mapping[str, Any], where: str) -> Problem:
    """One pydantic error as one line: YAML path, what was given, what is allowed."""
    location = [str(part) for part in detail["loc"] if not _is_union_branch(part)]
    path = f"{where}: {'.'.join(location) or 'the job'}"
    if detail["type"] == "extra_forbidden":
        return Problem(path, "unknown key", _did_you_mean(location[-1], _keys_beside(location)))
    if detail["type"] == "missing":
        return Problem(path, "missing", "must be given; the shortest job is `data: digits`")
    if detail["type"] == "value_error":
        return Problem(path, str(detail["ctx"]["error"]), "change either")
    if detail["type"] in {"model_type", "model_attributes_type"}:
        return Problem(path, f"{detail['input']!r} given", "must be keys and values")
    if detail["type"] == "dict_type":
        return Problem(path, f"{detail['input']!r} given", "must be keys and values")
    if detail["type"] == "string_pattern_mismatch":
        return Problem(path, f"{detail['input']!r} given", NAME_RULE)
    message = str(detail["msg"]).replace("Input should be", "must be").replace("String should", "must")
    return Problem(path, f"{detail['input']!r} given", message)


def _joined(problems: Iterable[Problem]) -> Iterator[Problem]:
    """One problem for each value: of a value that may be of several types each type has its own to say."""
    for (where, given), same in groupby(problems, key=lambda problem: (problem.where, problem.given)):
        first, *others = (problem.allowed for problem in same)
        yield Problem(where, given, " or ".join([first, *(text.removeprefix("must be ") for text in others)]))


def _is_union_branch(part: object) -> bool:
    return isinstance(part, str) and ("[" in part or part in {"str", "int", "float", "bool", "none"})


def _keys_beside(location: Sequence[str]) -> list[str]:
    model: type[BaseModel] = JobSpec
    for part in location[:-1]:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _did_you_mean(name: str, allowed: Iterable[str]) -> str:
    allowed = list(allowed)
    close = difflib.get_close_matches(name, allowed, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}allowed are {', '.join(allowed)}"
