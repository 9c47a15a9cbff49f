"""The command line: one function for each command, and one line for each error.

Each command imports what it needs, so that `--help` stays fast.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from toprung.search.arguments import WRONG_INPUT, build_parser
from toprung.search.commands.jobs.job_commands import JOB_COMMANDS
from toprung.search.commands.models.model_commands import MODEL_COMMANDS
from toprung.search.commands.runs.result_commands import RESULT_COMMANDS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

DONE, FAILED, INTERRUPTED = 0, 1, 130
STARTS_OVER = frozenset(["rerun", "predict", "export", "serve", "simulate"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The arguments; those of this process by default.

    Returns:
        The exit code: 0 done, 1 failed, 2 wrong input, 130 interrupted.
    """
    options = build_parser().parse_args(arguments)
    from toprung.search.commands.console_log import log_on_console
    from toprung.spaces.errors import InputError
    from toprung.trainables.system.imports import claim_process
    from toprung.trainables.system.uris import mask_secrets

    claim_process()
    _interrupt_on_termination()
    try:
        with log_on_console():
            COMMANDS[options.command](options)
    except InputError as error:
        for problem in error.problems:
            print(f"toprung: {mask_secrets(str(problem))}", file=sys.stderr)
        return WRONG_INPUT
    except KeyboardInterrupt:
        with suppress(OSError):  # the terminal may be gone
            print(f"toprung: interrupted; {_next_start(options)}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
    except PermissionError as error:
        given = f"{error.filename or 'a file'} cannot be read or written ({error.strerror or error})"
        with suppress(OSError):
            print(
                f"toprung: {mask_secrets(_one_line(given))}; must be a path that this user may read or write",
                file=sys.stderr,
            )
        return WRONG_INPUT
    except (RuntimeError, OSError) as error:
        with suppress(OSError):
            print(f"toprung: {mask_secrets(_one_line(error))}", file=sys.stderr)
        return FAILED
    return DONE


def _interrupt_on_termination() -> None:
    """Handle SIGTERM and SIGHUP like Ctrl-C; a signal that is ignored, as under `nohup`, stays ignored."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def search(options: argparse.Namespace) -> None:
    """`toprung search JOB`."""
    from toprung.cluster.interrupts import defer_interrupts

    with defer_interrupts():  # an import may swallow an interrupt
        from toprung.search.commands.runs.output import show_result
        from toprung.search.driver.run_search import run_search
        from toprung.search.runs.extended_job import load_extended

    job = load_extended(options.job, options.overrides)
    show_result(run_search(job, options.address, retry_failed=options.retry_failed), job)


COMMANDS = {
    **JOB_COMMANDS,
    "search": search,
    **RESULT_COMMANDS,
    **MODEL_COMMANDS,
}


def _next_start(options: argparse.Namespace) -> str:
    """What the same command does after an interruption."""
    if options.command in STARTS_OVER:
        return "the same command starts over"
    if any(text.startswith("search.trials=+") for text in getattr(options, "overrides", ())):
        return (
            "nothing is lost: the same command continues with the added trials, "
            "or adds as many again once all have ended"
        )
    return "nothing is lost: the same command continues"


def _one_line(error: object) -> str:
    return " ".join(str(error).split()) or type(error).__name__
