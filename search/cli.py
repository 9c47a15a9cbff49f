"""The command line: one function for each command, and one line for each error.

Each command imports what it needs, so that `--help` stays fast.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from toprung.search.arguments import WRONG_INPUT, build_parser
from toprung.search.commands.result_commands import RESULT_COMMANDS
from toprung.search.model_commands import MODEL_COMMANDS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

DONE, FAILED, INTERRUPTED = 0, 1, 130


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
    from toprung.trainables.system.uris import mask_secrets

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


def init(options: argparse.Namespace) -> None:
    """`toprung init FOLDER`."""
    from toprung.search.commands.init import write_job_file

    for line in write_job_file(options.folder, options.out):
        print(line)


def check(options: argparse.Namespace) -> None:
    """`toprung check JOB`."""
    from toprung.search.commands.check import describe_job
    from toprung.search.runs.run_folder import load_extended

    for line in describe_job(load_extended(options.job, options.overrides), options.preview):
        print(line)


def search(options: argparse.Namespace) -> None:
    """`toprung search JOB`."""
    from toprung.cluster.interrupts import defer_interrupts

    with defer_interrupts():  # an import may swallow an interrupt
        from toprung.search.commands.output import show_result
        from toprung.search.driver.run_search import run_search
        from toprung.search.runs.run_folder import load_extended

    job = load_extended(options.job, options.overrides)
    show_result(run_search(job, options.address, retry_failed=options.retry_failed), job)


def simulate(options: argparse.Namespace) -> None:
    """`toprung simulate JOB`."""
    from toprung.search.commands.forecast_output import show_forecasts
    from toprung.search.runs.run_folder import load_extended
    from toprung.search.simulation.simulator import ClusterConditions

    job = load_extended(options.job, options.overrides, files_needed=False)
    conditions = ClusterConditions(
        options.worker_startup_secs,
        options.trial_startup_secs,
        straggler_share=options.stragglers,
        failure_share=options.failures,
    )
    show_forecasts(job, options.workers, options.run, options.epoch_secs, options.out, conditions)


COMMANDS = {
    "init": init,
    "check": check,
    "search": search,
    **RESULT_COMMANDS,
    "simulate": simulate,
    **MODEL_COMMANDS,
}


def _next_start(options: argparse.Namespace) -> str:
    """What the same command does after an interruption."""
    if any(text.startswith("search.trials=+") for text in getattr(options, "overrides", ())):
        return (
            "nothing is lost: the same command continues with the added trials, "
            "or adds as many again once all have ended"
        )
    return "nothing is lost: the same command continues"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
