"""Classes whose names differ in nothing that a reader would see: probably one class, written in several ways."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from toprung.trainables.data.source_rules.first_names import first_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def about_alike_classes(classes: Sequence[str]) -> Iterator[str]:
    """A note where names of classes are the same but for case, spaces or the way Unicode writes a letter."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        groups.setdefault(_plain(name), []).append(name)
    alike = [" and ".join(map(_quoted, names)) for names in groups.values() if len(names) > 1]
    if alike:
        yield f"classes with names that look alike are classes of their own: {first_names(alike)}"


def _quoted(name: str) -> str:
    """The name in quotes; two names that look the same on a screen are shown by their escapes."""
    return repr(name) if unicodedata.is_normalized("NFC", name) else ascii(name)


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
