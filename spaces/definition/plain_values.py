"""A configuration in plain Python: a space may compute with numpy, the tables and the identities know no such type."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def plain(value: Any) -> Any:
    """A number of numpy's as int, float or bool, a text of any type as str; anything else as it is."""
    # Where nothing has imported numpy no value is of its types, and `toprung --help` need not wait for it.
    numbers: Any = getattr(sys.modules.get("numpy"), "generic", ())
    if isinstance(value, numbers):
        return value.item()
    # An enumeration's own str() is the name of its member, not the text.
    return str.__str__(value) if isinstance(value, str) else value


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with plain values."""
    return {name: plain(value) for name, value in config.items()}
