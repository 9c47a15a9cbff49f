"""Configurations in plain Python types: a space may compute with numpy, tables and trial identities may not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def plain(value: Any) -> Any:
    """A numpy number as int, float or bool, a text of any subclass as str; any other value unchanged."""
    # Where nothing has imported numpy no value is of its types, and `toprung --help` need not wait for it.
    numpy_scalar: Any = getattr(sys.modules.get("numpy"), "generic", ())
    if isinstance(value, numpy_scalar):
        return value.item()
    # The str() of an enumeration is the name of its member, not the text.
    return str.__str__(value) if isinstance(value, str) else value


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with plain values."""
    return {name: plain(value) for name, value in config.items()}
