"""What every section of a job file has in common."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from toprung.trainables.system.uris import STORAGE_CREDENTIALS, has_secrets


def without_secrets(path: str) -> str:
    """The path or URI; raises the error of a field where it holds a password or a key."""
    if has_secrets(path):
        raise PydanticCustomError("secret", STORAGE_CREDENTIALS)
    return path


StorePath = Annotated[str, AfterValidator(without_secrets)]
"""A local path or a URI; one with a password or a key in it is an error, as the job is printed and stored."""


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
    def refuse_boolean_as_number(cls, value: Any, info: ValidationInfo) -> Any:
        types = _types(cls.model_fields[str(info.field_name)].annotation)
        if isinstance(value, bool) and types & {int, float} and bool not in types:
            raise PydanticCustomError("number", "must be a number")
        return value


def _types(annotation: Any) -> set[Any]:
    """The types that an annotation is made of."""
    parts = get_args(annotation)
    if parts:
        return set().union(*map(_types, parts))
    return {annotation} if isinstance(annotation, type) else set()
