"""Look an object up by "module:attribute" or "path/to/file.py:attribute", as job files name user code."""

from __future__ import annotations

import difflib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable


def resolve(reference: str, where: str) -> Any:
    """The object `reference` names; classes are returned as they are.

    `where` is the job-file path that errors point at. A file is loaded once per process and a module is
    searched in the working directory too. Raises InputError when the file, module or attribute does not
    exist, or when importing it fails.
    """
    location, colon, attribute = reference.rpartition(":")
    if not colon or not location or not attribute:
        raise InputError.single(where, f"got {reference!r}", 'write "module:name" or "file.py:name"')
    module = _from_file(location, where) if location.endswith(".py") else _from_module(location, where)
    if not hasattr(module, attribute):
        names = [name for name in vars(module) if not name.startswith("_")]
        hint = did_you_mean(attribute, names) or f"it defines {', '.join(names) or 'nothing'}"
        raise InputError.single(where, f"{location} has no {attribute!r}", hint)
    return getattr(module, attribute)


def instance(found: Any, reference: str, where: str) -> Any:
    """`found` itself; of a class, an object made without arguments, InputError where that fails."""
    if not isinstance(found, type):
        return found
    try:
        return found()
    except Exception as error:
        given = f"{reference} cannot be made ({error!r})"
        raise InputError.single(
            where, given, "a class must be one that can be called without arguments"
        ) from error


def absolute(reference: str) -> str:
    """A "file.py:attribute" with the file's path made absolute; any other as it is."""
    file, colon, attribute = reference.rpartition(":")
    is_file = colon and file.endswith(".py")
    return f"{Path(file).expanduser().absolute()}:{attribute}" if is_file else reference


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """'did you mean "x"?' for the closest allowed name; the empty string when nothing is close."""
    close = difflib.get_close_matches(given, list(allowed), n=1)
    return f'did you mean "{close[0]}"?' if close else ""


def _from_file(location: str, where: str) -> Any:
    path = Path(location).expanduser().resolve()
    if not path.is_file():
        raise InputError.single(where, f"no file {location}", f"give a path from {Path.cwd()}")
    known = sys.modules.get(path.stem)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    if known is not None:
        raise InputError.single(where, f"{location} is named like a loaded module", "rename the file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError.single(where, f"cannot load {location}", "give a Python file")
    module = importlib.util.module_from_spec(spec)
    # Registered before it runs, so that what it defines can be pickled and its dataclasses resolve names.
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[path.stem]
        raise InputError.single(where, f"{location} fails to load: {error!r}", "fix the file") from error
    return module


def _from_module(location: str, where: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        # An installed command does not search the working directory, where users keep their own modules.
        sys.path.append(here)
    try:
        return importlib.import_module(location)
    except ModuleNotFoundError as error:
        raise InputError.single(
            where, f"no module {error.name!r}", f"it is searched in {here} too"
        ) from error
    except Exception as error:
        raise InputError.single(where, f"{location} fails to import: {error!r}", "fix the module") from error
