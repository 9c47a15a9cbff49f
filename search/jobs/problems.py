"""Validation errors of pydantic as the problems that a user reads: key, value given, rule."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel

from toprung.spaces.errors import InputError, Problem, name_rule, shown
from toprung.trainables.system.uris import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pydantic import ValidationError

NAME_RULE = "must be up to 100 letters, digits, dots, dashes and underscores, the first a letter or digit"
SHORTEST_JOB = "the shortest job is `data: digits`"


def input_error(error: ValidationError, model: type[BaseModel]) -> InputError:
    """Convert a validation error of `model`: one problem for each value, found at its dotted key."""
    return InputError(_one_for_each_value(_problem(dict(detail), model) for detail in error.errors()))


def _problem(detail: Mapping[str, Any], model: type[BaseModel]) -> Problem:
    keys = [str(part) for part in detail["loc"] if not _is_union_branch(part)]
    key = ".".join(keys) or "the job"
    given = mask_secrets(f"{shown(detail['input'])} given")
    match detail["type"]:
        case "extra_forbidden":
            return Problem(key, "unknown key", name_rule(keys[-1], _keys_of_section(model, keys[:-1])))
        case "missing":
            # Only a file names its job by itself.
            return Problem(
                key, "missing", "must be given" if key == "name" else f"must be given; {SHORTEST_JOB}"
            )
        case "value_error":
            return Problem(key, str(detail["ctx"]["error"]), "change either")
        case "model_type" | "model_attributes_type" | "dict_type":
            return Problem(key, given, "must be keys and values")
        case "string_pattern_mismatch":
            return Problem(key, given, NAME_RULE)
    rule = str(detail["msg"]).replace("Input should be", "must be").replace("String should", "must")
    return Problem(key, given, rule)


def _one_for_each_value(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Join the problems of one value: each type that the value may have reports its own rule."""
    for (where, given), same in groupby(problems, key=lambda problem: (problem.where, problem.given)):
        first, *more = (problem.allowed for problem in same)
        yield Problem(where, given, " or ".join([first, *(rule.removeprefix("must be ") for rule in more)]))


def _is_union_branch(part: object) -> bool:
    return isinstance(part, str) and ("[" in part or part in {"str", "int", "float", "bool", "none"})


def _keys_of_section(model: type[BaseModel], keys: Sequence[str]) -> list[str]:
    """The keys that the section at this path may have; none where the path leads to no section."""
    annotation: Any = model
    for key in keys:
        if get_origin(annotation) is dict:  # sections by a name of the user's
            annotation = get_args(annotation)[1]
            continue
        fields = annotation.model_fields if _is_section(annotation) else {}
        annotation = fields[key].annotation if key in fields else None
    return list(annotation.model_fields) if _is_section(annotation) else []


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
