"""Images returned by the user's own function."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toprung.spaces.errors import InputError
from toprung.trainables.data.sources.arrays import array_listing
from toprung.trainables.data.sources.base import Listing

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from toprung.trainables.data.sources.spec import DataSpec

RETURNS = "(images, labels) or (images, labels, classes)"


class FunctionSource:
    """`module:function` or `file.py:function`, called without arguments for (images, labels[, classes]).

    images: uint8 (N, H, W) or (N, H, W, C); labels: integers (N,); classes: names. It is called once a node
    and again only when its file or the spec changes, so it must return the same images every time.
    """

    def __init__(self, spec: DataSpec) -> None:
        self.source = spec.source
        self.module, _, self.function = spec.source.rpartition(":")

    def stamps(self) -> tuple[str, ...]:
        file = _origin(self.module)
        # By its place, beside which it may read its images, and by content: a copy that reached this machine has the
        # time of its arrival.
        return (str(file), hashlib.sha256(file.read_bytes()).hexdigest())

    def listing(self) -> Listing:
        try:
            returned = _function(self.module, self.function)()
        except InputError:
            raise
        except (
            Exception
        ) as error:  # whatever the user's code raises is theirs to read, named by their function
            given = f"{self.source} raised {type(error).__name__}: {error}"
            raise InputError.single("data.source", given, f"a function that returns {RETURNS}") from error
        if not isinstance(returned, tuple) or len(returned) not in (2, 3):
            given = f"{self.source} returned {_described(returned)}"
            raise InputError.single("data.source", given, RETURNS)
        names = returned[2] if len(returned) == 3 else None
        return array_listing({"train": (returned[0], returned[1])}, names, "data.source", self.source)


def _described(returned: Any) -> str:
    return f"a tuple of {len(returned)}" if isinstance(returned, tuple) else f"a {type(returned).__name__}"


def _origin(module: str) -> Path:
    """The file the function is in. Raises InputError when there is none."""
    if module.endswith(".py"):
        file = Path(module).expanduser().absolute()
        if not file.is_file():
            raise InputError.single(
                "data.source", f"{file} does not exist", "file.py:function or module:function"
            )
        return file
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        given = f"no module {module!r} on the Python path"
        raise InputError.single("data.source", given, "file.py:function or module:function")
    return Path(spec.origin)


def _function(module: str, name: str) -> Callable[[], Any]:
    loaded = _loaded(module)
    function = getattr(loaded, name, None)
    if not callable(function):
        near = difflib.get_close_matches(name, [n for n in vars(loaded) if not n.startswith("_")], n=1)
        allowed = (
            f"a function of that module; did you mean {near[0]!r}?" if near else "a function of that module"
        )
        raise InputError.single("data.source", f"{module} has no function {name!r}", allowed)
    return function  # type: ignore[no-any-return]


def _loaded(module: str) -> ModuleType:
    file = _origin(module)
    if not module.endswith(".py"):
        return importlib.import_module(module)
    spec = importlib.util.spec_from_file_location(f"toprung_data_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # dataclasses and pickling look their module up by name
    spec.loader.exec_module(loaded)
    return loaded
