"""User code by reference: "module:attribute" or "path/to/file.py:attribute", as job files name it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toprung.spaces.errors import InputError, did_you_mean
from toprung.spaces.user_code.errors import errors_of_first_run
from toprung.spaces.user_code.siblings import search_beside, siblings_of
from toprung.spaces.user_code.slow_code import told_if_slow

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType


_received: dict[Path, bytes] = {}


def is_reference(text: str) -> bool:
    """Whether `text` names user code, and not something built in."""
    location, colon, attribute = text.rpartition(":")
    return bool(colon and location and attribute.isidentifier())


def resolve(reference: str, where: str) -> Any:
    """The object that a reference names; a class is returned as it is.

    A file is run under a module name of its own, made of its stem and content: it neither hides nor is hidden by an
    installed module or another file of the same name. What it imports is also searched in its folder. It is run once
    per process and content. A module is also searched in the working directory.

    Args:
        reference: "module:attribute" or "path/to/file.py:attribute".
        where: The key of the job that an error points at.

    Raises:
        InputError: The file, module or attribute does not exist, or running it fails.
    """
    location, attribute = _split(reference, where)
    module = _from_file(location, where) if location.endswith(".py") else _from_module(location, where)
    if not hasattr(module, attribute):
        names = [name for name in vars(module) if not name.startswith("_")]
        hint = did_you_mean(attribute, names) or f"it defines {', '.join(names) or 'nothing'}"
        raise InputError.single(where, f"{location} has no {attribute!r}", hint)
    return getattr(module, attribute)


def receive(path: Path, source: str) -> None:
    """From now on this process runs the file at `path` from this text, and does not read it."""
    _received[path] = source.encode()


def file_of(reference: str, where: str) -> Path:
    """The absolute path of the file that a reference looks into; the file is not run.

    Raises:
        InputError: As `resolve`, for a file or module that does not exist.
    """
    location, _ = _split(reference, where)
    if location.endswith(".py"):
        return _existing(location, where)
    _search_working_directory()
    with errors_of_first_run(where, f"{location} fails to import", "fix the module"):
        spec = _spec_of(location)
    if spec is None or spec.origin is None or not spec.has_location:
        raise _no_module(location, where)
    return Path(spec.origin)


def _spec_of(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None


def instance(found: Any, reference: str, where: str) -> Any:
    """`found` itself, or an instance where it is a class; raises InputError where the class needs arguments."""
    if not isinstance(found, type):
        return found
    rule = "a class must be one that can be called without arguments"
    with errors_of_first_run(where, f"{reference} cannot be made", rule):
        return found()


def with_absolute_path(reference: str) -> str:
    """A "file.py:attribute" with the path of the file made absolute; any other text unchanged."""
    file, colon, attribute = reference.rpartition(":")
    is_file = colon and file.endswith(".py")
    return f"{Path(file).expanduser().absolute()}:{attribute}" if is_file else reference


def _split(reference: str, where: str) -> tuple[str, str]:
    location, colon, attribute = reference.rpartition(":")
    if not colon or not location or not attribute:
        raise InputError.single(where, f"got {reference!r}", 'write "module:name" or "file.py:name"')
    return location, attribute


def _existing(location: str, where: str) -> Path:
    try:
        path = Path(location).expanduser().absolute()
        is_there = path.is_file()
    except (OSError, RuntimeError, ValueError):  # a name too long, an unknown user
        is_there = False
    if not is_there:
        raise InputError.single(where, f"no file {location}", f"give a path from {Path.cwd()}")
    return path


def _from_file(location: str, where: str) -> ModuleType:
    path = _existing(location, where)
    try:
        content = _received.get(path) or path.read_bytes()
    except OSError as error:
        raise InputError.single(where, f"cannot read {location}", "give a file that can be read") from error
    siblings = siblings_of(path, content.decode("utf-8", "replace"), where)
    # Not by the path: what is pickled under this name on one machine is found on another that has a copy of the file.
    digest = hashlib.sha256(content + repr(siblings or "").encode()).hexdigest()[:16]
    name = f"toprung_user_{re.sub(r'[^0-9a-zA-Z_]', '_', path.stem)}_{digest}"
    loaded = sys.modules.get(name)
    # A copy in another folder may read other files beside it.
    if loaded is not None and loaded.__file__ == str(path):
        return loaded
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "Python has a loader for every file that ends in .py"
    module = importlib.util.module_from_spec(spec)
    search_beside(path, siblings)
    # Registered before it runs, so that what it defines can be pickled and its dataclasses resolve names.
    sys.modules[name] = module
    try:
        with (
            told_if_slow(f"{location} ({where}) is being imported"),
            errors_of_first_run(where, f"{location} fails to load", "fix the file"),
        ):
            # Not by the loader: bytecode that it keeps may be of a version of the same second and size.
            exec(compile(content, str(path), "exec", dont_inherit=True), vars(module))
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _from_module(location: str, where: str) -> ModuleType:
    _search_working_directory()
    with (
        told_if_slow(f"{location} ({where}) is being imported"),
        errors_of_first_run(where, f"{location} fails to import", "fix the module"),
    ):
        try:
            return importlib.import_module(location)
        except ModuleNotFoundError as error:
            raise _no_module(error.name or location, where) from error


def _search_working_directory() -> None:
    """Search modules in the working directory, where users keep their own; an installed command does not by itself."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)


def _no_module(name: str, where: str) -> InputError:
    return InputError.single(where, f"no module {name!r}", f"it is searched in {Path.cwd()} too")
