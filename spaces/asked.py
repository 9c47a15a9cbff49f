"""Choices beyond a space's core: there for the job that names them, out of the way for all others."""

from __future__ import annotations

from typing import Any


def asked(trial: Any, name: str) -> bool:
    """Whether the job names the parameter under `fixed` or `ranges`.

    A space suggests its rarer parameters only then, and suggests its common ones from their widest range. A plain
    Optuna trial asks for none; a description of the space asks for all.
    """
    names_it = getattr(trial, "asks", None)
    return bool(names_it(name)) if callable(names_it) else False
