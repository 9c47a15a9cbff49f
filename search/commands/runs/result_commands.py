"""The commands that read runs: one function for each. Each imports what it needs, so that `--help` stays fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping


def status(options: argparse.Namespace) -> None:
    """`toprung status RUN`."""
    from toprung.search.commands.runs.status import show_status
    from toprung.search.runs.run_folder import RunFolder

    show_status(RunFolder(options.run), options.top)


def table(options: argparse.Namespace) -> None:
    """`toprung table RUN`."""
    from toprung.search.commands.models.retrained_output import show_models
    from toprung.search.commands.runs.table import TableQuery, show_table
    from toprung.search.runs.run_folder import RunFolder

    if options.retrained:
        show_models(RunFolder(options.run), options.top, options.format)
        return
    given = (options.top, options.format, options.epochs, options.pareto)
    show_table(RunFolder(options.run), TableQuery(*given, options.where, options.sort, options.columns))


def compare(options: argparse.Namespace) -> None:
    """`toprung compare RUN RUN...`."""
    from toprung.search.commands.runs.compare import show_comparison

    show_comparison(options.runs, options.format)


def report(options: argparse.Namespace) -> None:
    """`toprung report RUN...`."""
    from toprung.search.commands.runs.report import write_report

    for line in write_report(options.runs, options.out, options.live, options.png):
        print(line, flush=True)


def export_study(options: argparse.Namespace) -> None:
    """`toprung export-study RUN STORAGE`."""
    from toprung.search.commands.runs.export_study import export_run
    from toprung.search.runs.run_folder import RunFolder

    for line in export_run(RunFolder(options.run), options.storage):
        print(line)


def repair(options: argparse.Namespace) -> None:
    """`toprung repair RUN`."""
    from toprung.search.commands.runs.repair_output import show_repair

    show_repair(options.run)


def sync(options: argparse.Namespace) -> None:
    """`toprung sync RUN`."""
    from toprung.search.commands.runs.sync import sync as sync_run
    from toprung.search.runs.run_folder import RunFolder

    sync_run(RunFolder(options.run), options.overrides)


RESULT_COMMANDS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "status": status,
    "table": table,
    "compare": compare,
    "report": report,
    "export-study": export_study,
    "repair": repair,
    "sync": sync,
}
