"""What every section of a job file is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the job file: frozen, and any key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
