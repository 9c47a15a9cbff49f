"""Whatever the user's code raises, as one line that says where it was called."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from toprung.spaces.errors import InputError, shown

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def errors_of_user_code(where: str, given: str, rule: str) -> Iterator[None]:
    """Raise InputError at `where` for what the block raises: `sys.exit()` is no end of the command.

    An InputError stays as it is, and Ctrl-C is one.
    """
    try:
        yield
    except (InputError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise InputError.single(where, f"{given}: {shown(error)}", rule) from error
