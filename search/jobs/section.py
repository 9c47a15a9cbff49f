"""What every section of a job file has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, LiteralString, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from toprung.search.jobs.yaml_loader import MAX_BITS
from toprung.trainables.system.uris import STORAGE_CREDENTIALS, broken_path_rule, has_secrets, is_storable

MAX_DEPTH = 20


def without_secrets(path: str) -> str:
    """The path or URI; raises the error of a field where it holds a password or a key."""
    if has_secrets(path):
        raise PydanticCustomError("secret", STORAGE_CREDENTIALS)
    return path


def usable_path(path: str) -> str:
    """The path, URI or reference to a file; raises the error of a field where no file system takes it."""
    if rule := broken_path_rule(path):
        raise PydanticCustomError("path", rule)
    return path


StorePath = Annotated[str, AfterValidator(without_secrets), AfterValidator(usable_path)]
"""A local path or a URI; one with a password or a key in it is an error, as the job is printed and stored."""

CodeReference = Annotated[str, AfterValidator(usable_path)]
"""A built-in name, or code of the user as file.py:name or module:name."""


class Section(BaseModel):
    """A part of the job file. It is frozen; an unknown key is an error, and so is .inf or .nan for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    short_form: ClassVar[str] = ""
    """The key that a bare text stands for, as `source` in `data: digits`; empty where the section has none."""

    @model_validator(mode="before")
    @classmethod
    def expand_short_form(cls, value: Any) -> Any:
        return {cls.short_form: value} if cls.short_form and isinstance(value, str) else value

    @field_validator("*", mode="before")
    @classmethod
    def refuse_what_no_file_holds(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[str(info.field_name)].annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            return value  # its own fields are checked, each under its key
        if rule := _broken_value_rule(value):
            raise PydanticCustomError("value", rule)
        return value

    @field_validator("*", mode="before")
    @classmethod
    def refuse_boolean_as_number(cls, value: Any, info: ValidationInfo) -> Any:
        types = _types(cls.model_fields[str(info.field_name)].annotation)
        if isinstance(value, bool) and types & {int, float} and bool not in types:
            raise PydanticCustomError("number", "must be a number")
        return value


def _broken_value_rule(value: Any, depth: int = 0) -> LiteralString | None:
    """The rule that a value, or one within it, breaks; None where tables and files can hold it."""
    if isinstance(value, str):
        return None if is_storable(value) else "must be a text that UTF-8 holds, without NUL"
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        return "must be a number of 64 bits"
    if depth > MAX_DEPTH:
        return "must not be nested so deeply"
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    inner = value if isinstance(value, list | tuple) else ()
    rules = (_broken_value_rule(one, depth + 1) for one in inner)
    return next((rule for rule in rules if rule), None)


def _types(annotation: Any) -> set[Any]:
    """The types that an annotation is made of."""
    parts = get_args(annotation)
    if parts:
        return set().union(*map(_types, parts))
    return {annotation} if isinstance(annotation, type) else set()
