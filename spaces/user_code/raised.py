"""What the user's code raised, and in which of its lines: the message alone seldom says where to look."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from toprung.spaces.errors import first_line

if TYPE_CHECKING:
    from types import FrameType

_INSTALLED = ("site-packages", "dist-packages")
_OWN = "toprung."


def raised(error: BaseException) -> str:
    """The exception's type, what it says, and the line of the user's code, in one line."""
    name = type(error).__name__
    if isinstance(error, SyntaxError):  # it says the line itself, and the traceback ends before it
        return f"{name}: {first_line(error)}"
    try:
        told = first_line(error) if str(error).strip() else ""
    except Exception as again:  # an exception of the user's
        told = f"a text that cannot be shown ({type(again).__name__})"
    return (f"{name}: {told}" if told else name) + line_raised(error)


def line_raised(error: BaseException) -> str:
    """The innermost line of the user's code that an exception passed, as " (FILE line N)"; empty where it passed none.

    What is neither of this package nor installed beside it is the user's.
    """
    lines = [(frame, number) for frame, number in traceback.walk_tb(error.__traceback__) if _is_users(frame)]
    if not lines:
        return ""
    frame, number = lines[-1]
    return f" ({Path(frame.f_code.co_filename).name} line {number})"


def _is_users(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    module = getattr(
        frame.f_globals.get("__spec__"), "name", ""
    )  # of `python -m` too, which calls it __main__
    if file.startswith("<") or module.startswith(_OWN):
        return False
    return not file.startswith(sysconfig.get_path("stdlib")) and not set(Path(file).parts) & set(_INSTALLED)
