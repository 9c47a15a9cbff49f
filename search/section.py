"""What every section of a job file is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the job file: frozen, and any key it does not know is an error, as are .inf and .nan for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
