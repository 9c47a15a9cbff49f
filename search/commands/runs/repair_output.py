"""`toprung repair`: what was kept of a run's tables, and what is lost."""

from __future__ import annotations

from shlex import quote

from toprung.results.repair.repair import DAMAGED, repair_run
from toprung.search.commands.output_path import short_path
from toprung.search.runs.run_folder import RunFolder
from toprung.trainables.system.uris import absolute, join


def show_repair(run: str) -> None:
    """Repair the tables of a run and print what was kept and lost.

    Raises:
        InputError: What `repair_run` raises; or the job file, which nothing can repair, is damaged or lost.
    """
    root = absolute(run)
    RunFolder(root).check_writable("RUN")
    repaired = repair_run(root)
    for table, count in repaired.rows.items():
        print(f"{table:<10} {count:,} rows")
    for line in repaired.lost:
        print(f"lost       {line}")
    if repaired.lost:
        print(f"kept       damaged files are in {join(root, DAMAGED)}")
    else:
        print("nothing    was damaged: the tables stay as they are")
    RunFolder(root).job()
    print(f"next       toprung status {quote(short_path(root))}")
