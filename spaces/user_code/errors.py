"""Whatever the user's code raises, as one line that says where it was called."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from toprung.spaces.errors import InputError
from toprung.spaces.user_code.interrupts import interrupts_noted
from toprung.spaces.user_code.raised import raised
from toprung.spaces.user_code.tensorflow_log import without_start_lines

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def errors_of_user_code(where: str, given: str, rule: str) -> Iterator[None]:
    """Raise InputError at `where` for what the block raises: `sys.exit()` is no end of the command.

    An InputError stays as it is, and so does the KeyboardInterrupt of Ctrl-C; one that the code raises is an error.
    """
    with interrupts_noted() as interrupts:
        try:
            yield
        except InputError:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and interrupts:
                raise
            raise InputError.single(where, f"{given}: {raised(error)}", rule) from error


@contextmanager
def errors_of_first_run(where: str, given: str, rule: str) -> Iterator[None]:
    """The same for code that may import TensorFlow: what that writes at its start is no output of the command."""
    with without_start_lines(), errors_of_user_code(where, given, rule):
        yield
