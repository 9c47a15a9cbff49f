"""A user's file of code, and the modules beside it, carried to processes on machines that do not have them."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from toprung.spaces.errors import InputError
from toprung.spaces.user_code.references import receive
from toprung.spaces.user_code.siblings import siblings_of


@dataclass(frozen=True)
class SourceFile:
    """Code that a job names, and the text of its file.

    reference: "file.py:attribute", "module:attribute" or a built-in name.
    source: the text of the file; None for the other two.
    siblings: by path from the file's folder, the text of the modules beside it that it imports.
    """

    reference: str
    source: str | None = None
    siblings: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """A digest of all texts; empty where the code is in no file."""
        if self.source is None:
            return ""
        digest = hashlib.sha256(self.source.encode())
        for path, text in sorted(self.siblings.items()):
            digest.update(f"\0{path}\0{text}".encode())
        return digest.hexdigest()


def pack_source(reference: str, where: str = "space.name") -> SourceFile:
    """`reference` with the texts of its files; raises InputError at `where` when one cannot be read."""
    file, colon, _ = reference.rpartition(":")
    if not colon or not file.endswith(".py"):
        return SourceFile(reference)
    try:
        path = Path(file).expanduser().absolute()
        source = path.read_text(encoding="utf-8")
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError.single(where, f"cannot read {file}", "give a Python file in UTF-8") from error
    return SourceFile(reference, source, siblings_of(path, source, where))


def unpack_source(code: SourceFile) -> str:
    """A reference that resolves on this machine to the code as it was packed.

    It names the file itself where all texts are unchanged, else a copy in a folder of this user's own, named after the
    content. The copy is loaded from the text that was packed, whatever stands in the file by then.
    """
    if code.source is None:
        return code.reference
    file, _, attribute = code.reference.rpartition(":")
    path = Path(file).expanduser()
    if _is_unchanged(path, code):
        return code.reference
    folder = private_folder() / code.fingerprint[:16]
    for name, text in {**code.siblings, path.name: code.source}.items():
        _write(folder / name, text)
    receive(folder / path.name, code.source)
    return f"{folder / path.name}:{attribute}"


@cache
def private_folder() -> Path:
    """A folder in the temporary directory that no other user can read or write.

    A folder of the expected name that another user made, or may write, is left alone for a new one of this process.
    """
    folder = Path(tempfile.gettempdir(), f"toprung-code-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="toprung-code-"))
    is_private = found.st_uid == os.getuid() and not found.st_mode & 0o077 and stat.S_ISDIR(found.st_mode)
    return folder if is_private else Path(tempfile.mkdtemp(prefix="toprung-code-"))


def _is_unchanged(path: Path, code: SourceFile) -> bool:
    texts = {path.name: code.source, **code.siblings}
    try:
        return all(path.with_name(name).read_text(encoding="utf-8") == text for name, text in texts.items())
    except (OSError, ValueError):
        return False


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as new:
        new.write(text)
    # Several workers of a node may do this at once: each replaces the file by a complete one.
    Path(new.name).replace(path)
