"""The modules beside a user's file that it imports: they are found when it runs, and travel with it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 2**20

_searched: list[str] = []
"""The folders of user files that this process searches for modules, as they stand in `sys.path`."""


def siblings_of(file: Path, source: str, where: str) -> dict[str, str]:
    """The text of each module in the file's folder that the file imports, itself or through another of them.

    A package is taken whole. Of a name that Python's own library has, the library's module is imported.

    Args:
        file: The user's file.
        source: Its text.
        where: The key of the job that an error points at.

    Returns:
        By path from the folder, such as "layers.py" or "blocks/wide.py".

    Raises:
        InputError: They hold more than MAX_BYTES, or cannot be read.
    """
    found: dict[str, str] = {}
    to_search = [source]
    while to_search:
        for name in _imported_names(to_search.pop()):
            for path in _module_files(file, name):
                key = path.relative_to(file.parent).as_posix()
                if key not in found:
                    found[key] = _text(path, where)
                    to_search.append(found[key])
        size = sum(map(len, found.values()))
        if size > MAX_BYTES:
            given = f"{file} imports {size:,} bytes of modules beside it"
            rule = f"must be {MAX_BYTES:,} at most, to travel with a search: install larger ones as a package"
            raise InputError.single(where, given, rule)
    return dict(sorted(found.items()))


def search_beside(file: Path, siblings: dict[str, str]) -> None:
    """Have `import` find these modules beside the file, behind what is installed and before other users' folders."""
    if not siblings:
        return
    for name in {path.partition("/")[0].removesuffix(".py") for path in siblings}:
        _forget(name)
    folder = str(file.parent)
    if folder in _searched:
        _searched.remove(folder)
        sys.path.remove(folder)
    first = next((place for place, known in enumerate(sys.path) if known in _searched), len(sys.path))
    sys.path.insert(first, folder)
    _searched.append(folder)


def _forget(name: str) -> None:
    """Unload a module of a user's folder: another folder, or the file as it is now, may define it otherwise."""
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded is None or not any(Path(loaded).is_relative_to(folder) for folder in _searched):
        return
    for module in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
        del sys.modules[module]


def _imported_names(source: str) -> Iterator[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):  # told when the file is run
        return
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            modules = [node.module]
        for module in modules:
            name = module.partition(".")[0]
            if name not in sys.stdlib_module_names:
                yield name


def _module_files(file: Path, name: str) -> list[Path]:
    module, package = file.with_name(f"{name}.py"), file.with_name(name)
    if (package / "__init__.py").is_file():
        return sorted(package.rglob("*.py"))
    return [module] if module.is_file() and module != file else []


def _text(path: Path, where: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        given = f"cannot read {path}"
        raise InputError.single(where, given, "give Python files in UTF-8 that can be read") from error
