"""What every section of a job file is."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A part of the job file: frozen, and any key it does not know is an error, as are .inf and .nan for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        types = _types(cls.model_fields[str(info.field_name)].annotation)
        if isinstance(value, bool) and types & {int, float} and bool not in types:
            raise PydanticCustomError("number", "must be a number")
        return value


def _types(annotation: Any) -> set[Any]:
    """The types that an annotation is made of."""
    parts = get_args(annotation)
    return (
        set().union(*map(_types, parts)) if parts else {annotation} if isinstance(annotation, type) else set()
    )
