"""A user's file of code, carried to processes on machines that do not have it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from toprung.spaces.errors import InputError


@dataclass(frozen=True)
class SourceFile:
    """Code that a job names, and the text of its file.

    reference: "file.py:attribute", "module:attribute" or a built-in name.
    source: the text of the file; None for the other two.
    """

    reference: str
    source: str | None = None


def pack_source(reference: str, where: str = "space.name") -> SourceFile:
    """`reference` with the text of its file; raises InputError at `where` when the file cannot be read."""
    file, colon, _ = reference.rpartition(":")
    if not colon or not file.endswith(".py"):
        return SourceFile(reference)
    try:
        return SourceFile(reference, Path(file).expanduser().read_text())
    except OSError as error:
        raise InputError.single(where, f"cannot read {file}", "give a Python file") from error


def unpack_source(code: SourceFile) -> str:
    """A reference that resolves on this machine to the code as it was packed.

    It names the file itself where that is unchanged, else a copy in a temporary folder named after the content.
    """
    if code.source is None:
        return code.reference
    file, _, attribute = code.reference.rpartition(":")
    path = Path(file).expanduser()
    if path.is_file() and path.read_text() == code.source:
        return code.reference
    digest = hashlib.sha256(code.source.encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir(), f"toprung-code-{os.getuid()}", digest)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as new:
        new.write(code.source)
    # Several workers of a node may do this at once: each replaces the file by a complete one.
    Path(new.name).replace(folder / path.name)
    return f"{folder / path.name}:{attribute}"
