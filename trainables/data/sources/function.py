"""Images returned by the user's own function."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from toprung.spaces.errors import InputError
from toprung.spaces.user_code.errors import errors_of_first_run
from toprung.spaces.user_code.references import file_of, resolve
from toprung.trainables.data.source_rules.base import Listing, Source
from toprung.trainables.data.sources.arrays import array_listing

if TYPE_CHECKING:
    from toprung.trainables.data.source_rules.spec import DataSpec

RETURNS = "(images, labels) or (images, labels, classes)"


class FunctionSource(Source):
    """A function, named "module:function" or "file.py:function", that is called without arguments.

    It returns images, uint8 (N, H, W) or (N, H, W, C), their labels, integers (N,) or a 0/1 matrix (N, classes), and
    optionally the class names. It is called once a node, and again only when its file or the spec changes, so it must
    return the same images every time.
    """

    def __init__(self, spec: DataSpec) -> None:
        self.reference = spec.source

    def stamps(self) -> tuple[str, ...]:
        file = file_of(self.reference, "data.source")
        # The path, because the function may read files beside it. The content and not the time: a copy that was
        # carried to this machine has the time of its arrival.
        return (str(file), hashlib.sha256(file.read_bytes()).hexdigest())

    def listing(self) -> Listing:
        function, rule = resolve(self.reference, "data.source"), f"a function that returns {RETURNS}"
        if not callable(function):
            raise InputError.single("data.source", f"{self.reference} is no function", rule)
        with errors_of_first_run("data.source", f"{self.reference} fails", rule):
            returned = function()
        if not isinstance(returned, tuple) or len(returned) not in (2, 3):
            given = f"{self.reference} returned {_described(returned)}"
            raise InputError.single("data.source", given, RETURNS)
        names = returned[2] if len(returned) == 3 else None
        return array_listing({"train": (returned[0], returned[1])}, names, "data.source", self.reference)


def _described(returned: object) -> str:
    return f"a tuple of {len(returned)}" if isinstance(returned, tuple) else f"a {type(returned).__name__}"
