"""The command line: what was typed, one function a command, and one line for whatever was wrong.

Nothing heavy is imported before the command that needs it is known.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code says how it went: 0 done, 1 failed, 2 wrong input, 130 interrupted."""
    from toprung.search.commands.console_log import log_on_console
    from toprung.spaces.errors import InputError

    options = _parser().parse_args(arguments)
    _end_as_by_ctrl_c()
    try:
        with log_on_console():
            return int(options.command(options))
    except InputError as error:
        for problem in error.problems:
            print(f"toprung: {problem}", file=sys.stderr)
        return WRONG_INPUT
    except KeyboardInterrupt:
        with suppress(OSError):  # the terminal may be gone
            print(f"toprung: interrupted; {_afterwards(options)}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return DONE
    except (RuntimeError, OSError) as error:
        with suppress(OSError):
            print(f"toprung: {_one_line(error)}", file=sys.stderr)
        return FAILED


def _end_as_by_ctrl_c() -> None:
    """Being terminated, or the terminal's end, is an interrupt; what `nohup` had this process ignore stays ignored."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


class _Parser(argparse.ArgumentParser):
    """Tells what was wrong in one line, as everything else that is wrong is told."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_INPUT, f"toprung: {message}; `{self.prog} --help` shows what is allowed\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="toprung", description="Finds the best training configuration for an image classifier."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    check_parser = _job_command(commands, "check", "validate a job and say what it will do", check)
    check_parser.add_argument(
        "--preview", metavar="FILE", help="draw what augmentation does to the job's images, as in out.png"
    )
    search_parser = _job_command(commands, "search", "run a job's search, or go on where it stopped", search)
    search_parser.add_argument(
        "--address", type=_address, help='a running Ray cluster; "auto" for the one this machine is part of'
    )
    status_parser = _run_command(commands, "status", "progress and leaders of a run, from its tables", status)
    status_parser.add_argument("--top", type=_count, default=5, help="leaders shown (5)")
    table_parser = _run_command(commands, "table", "the trials of a run, best first", table)
    table_parser.add_argument("--top", type=_count, help="rows shown (all)")
    table_parser.add_argument("--format", choices=("rich", "csv", "json", "parquet"), default="rich")
    table_parser.add_argument("--epochs", action="store_true", help="every epoch instead of every trial")
    table_parser.add_argument(
        "--pareto", action="store_true", help="only trials that none beats in every objective"
    )
    simulate_parser = _job_command(
        commands, "simulate", "what a search would cost and find, before it runs", simulate
    )
    simulate_parser.add_argument(
        "--workers", type=_count, nargs="+", default=[1, 4, 16, 64], help="numbers of workers"
    )
    simulate_parser.add_argument(
        "--from", dest="run", metavar="RUN", help="a finished run to take the curves from"
    )
    simulate_parser.add_argument(
        "--epoch-secs", type=_amount, default=60.0, help="seconds of an epoch without --from (60)"
    )
    simulate_parser.add_argument(
        "--worker-startup-secs", type=_amount, default=0.0, help="until a worker can train (0)"
    )
    simulate_parser.add_argument(
        "--trial-startup-secs", type=_amount, default=0.0, help="until a trial trains on a worker (0)"
    )
    simulate_parser.add_argument(
        "--stragglers", type=_share, default=0.0, help="share of trials that run three times slower (0)"
    )
    simulate_parser.add_argument(
        "--failures", type=_share, default=0.0, help="share of trials that fail on the way (0)"
    )
    simulate_parser.add_argument("--out", metavar="PNG", help="draw the best value over the hours")
    retrain_parser = _run_command(
        commands, "retrain", "train the winner again, test it once, save it", retrain
    )
    retrain_parser.add_argument("--trial", metavar="ID", help="this trial instead of the best, as in t00012")
    retrain_parser.add_argument(
        "--address", type=_address, help="a running Ray cluster that confirms the best, as for search"
    )
    retrain_parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="A.B=C",
                                help="change a setting, as in retrain.epochs=20")  # fmt: skip
    return parser


def _job_command(commands: argparse._SubParsersAction[_Parser], name: str, what: str, run: object
                 ) -> argparse.ArgumentParser:  # fmt: skip
    parser = commands.add_parser(name, help=what, description=what)
    parser.add_argument("job", metavar="JOB", help="the job file (YAML)")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="A.B=C",
                        help="change a setting of the job, as in search.trials=40")  # fmt: skip
    parser.set_defaults(command=run)
    return parser


def _run_command(commands: argparse._SubParsersAction[_Parser], name: str, what: str, run: object
                 ) -> argparse.ArgumentParser:  # fmt: skip
    parser = commands.add_parser(name, help=what, description=what)
    what_run = "the run folder or URI, such as runs/quickstart"
    parser.add_argument("run", metavar="RUN", type=_run, help=what_run)
    parser.set_defaults(command=run)
    return parser


def _run(text: str) -> str:
    return text.rstrip("/") or text  # shells complete a folder's name with a slash


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} given, must be a whole number above 0")
    return int(text)


def _amount(text: str, most: float = float("inf")) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (0.0 <= value <= most and math.isfinite(value)):
        allowed = "0 or more" if most == float("inf") else f"from 0 to {most:g}"
        raise argparse.ArgumentTypeError(f"{text!r} given, must be a number {allowed}")
    return value


def _address(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("nothing given, must be HOST:PORT or auto")
    return text


def _share(text: str) -> float:
    return _amount(text, 1.0)


def check(options: argparse.Namespace) -> int:
    """`toprung check JOB`."""
    from toprung.search.commands.check import describe_job
    from toprung.search.runs.run_folder import load_extended

    for line in describe_job(load_extended(options.job, options.overrides), options.preview):
        print(line)
    return DONE


def search(options: argparse.Namespace) -> int:
    """`toprung search JOB`."""
    from toprung.cluster.interrupts import defer_interrupts

    with defer_interrupts():  # libraries may swallow an interrupt while they are imported
        from toprung.search.commands.output import show_result
        from toprung.search.driver.run_search import run_search
        from toprung.search.runs.run_folder import load_extended

    job = load_extended(options.job, options.overrides)
    ended = run_search(job, options.address)
    show_result(ended, job)
    return DONE


def status(options: argparse.Namespace) -> int:
    """`toprung status RUN`."""
    from toprung.search.commands.output import show_status
    from toprung.search.runs.run_folder import RunFolder

    show_status(RunFolder(options.run), options.top)
    return DONE


def table(options: argparse.Namespace) -> int:
    """`toprung table RUN`."""
    from toprung.search.commands.output import show_table
    from toprung.search.runs.run_folder import RunFolder

    show_table(RunFolder(options.run), options.top, options.format, options.epochs, options.pareto)
    return DONE


def simulate(options: argparse.Namespace) -> int:
    """`toprung simulate JOB`."""
    from toprung.search.commands.output import show_forecasts
    from toprung.search.runs.run_folder import load_extended
    from toprung.search.simulation.simulator import ClusterConditions

    job = load_extended(options.job, options.overrides)
    conditions = ClusterConditions(
        options.worker_startup_secs,
        options.trial_startup_secs,
        straggler_share=options.stragglers,
        failure_share=options.failures,
    )
    show_forecasts(job, options.workers, options.run, options.epoch_secs, options.out, conditions)
    return DONE


def retrain(options: argparse.Namespace) -> int:
    """`toprung retrain RUN`."""
    from toprung.cluster.interrupts import defer_interrupts

    with defer_interrupts():
        from toprung.search.commands.output import show_retrained
        from toprung.search.runs.run_folder import RunFolder
        from toprung.search.winner.retrain import retrain_winner

    folder = RunFolder(options.run)
    show_retrained(retrain_winner(folder, options.overrides, options.trial, options.address))
    return DONE


def _afterwards(options: argparse.Namespace) -> str:
    """What the same command does after an interruption: only a search keeps what it has done."""
    if options.command is retrain:
        return "with the same command the retraining begins again; a confirmation goes on where it stopped"
    if any(text.startswith("search.trials=+") for text in getattr(options, "overrides", ())):
        return (
            "nothing is lost, the same command goes on with the added trials, "
            "or adds as many again once all have ended"
        )
    return "nothing is lost, the same command goes on where this one stopped"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
