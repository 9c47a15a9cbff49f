"""`toprung report`: the page of a run, or of several beside each other, as one HTML file or as pictures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from toprung.results.report.comparison_page import comparison_page
from toprung.results.report.pictures import write_pictures
from toprung.results.report.run_page import charts_of, run_page
from toprung.search.commands.output_path import picture_target, short_path
from toprung.search.commands.runs.run_views import compared_run, next_step, view_of
from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.errors import InputError
from toprung.trainables.system.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LIVE_SECS = 10.0
HTML_SUFFIXES = (".html", ".htm")
FILE = "report.html"


def write_report(
    roots: Sequence[str],
    out: str | None,
    live: bool,
    pictures: str | None,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[str]:
    """Write the page of the runs; the lines say where.

    Args:
        roots: The runs; several are compared.
        out: The file; None for report.html in the run, or comparison.html here for several.
        live: Whether to write it again every LIVE_SECS while a search writes the run.
        pictures: A folder for each chart as a PNG file; None for none.
        wait: Waits for so many seconds.

    Raises:
        InputError: There is no such run, or the file cannot be written.
    """
    folders = [RunFolder(root) for root in roots]
    if len(folders) > 1 and (live or pictures):
        option = "--live" if live else "--png"
        raise InputError.single(option, f"{len(folders)} runs", "is for a single run")
    target = _target(folders, out)
    shots = _picture_folder(pictures) if pictures else None
    goes_on = _written(folders, target, live)
    yield f"report     {short_path(target)}"
    while goes_on:
        wait(LIVE_SECS)
        goes_on = _written(folders, target, live)
    if shots is not None:
        for path in write_pictures(charts_of(view_of(folders[0])), shots):
            yield f"picture    {path}"


def _written(folders: Sequence[RunFolder], target: str, live: bool) -> bool:
    """Write the page once; whether it is to be written again."""
    views = [view_of(folder) for folder in folders]
    if len(views) > 1:
        runs = [compared_run(view, folder.job()) for view, folder in zip(views, folders, strict=True)]
        _put(target, comparison_page(views, runs))
        return False
    goes_on = live and views[0].job.is_active
    _put(target, run_page(views[0], next_step(folders[0], views[0]), LIVE_SECS if goes_on else None))
    return goes_on


def _put(target: str, page: str) -> None:
    folder, _, name = target.rpartition("/")
    Storage.at(folder or "/").put(name, page.encode("utf-8", "backslashreplace"))


def _target(folders: Sequence[RunFolder], out: str | None) -> str:
    if out is not None:
        return str(picture_target(out, "--out", HTML_SUFFIXES).absolute())
    if len(folders) > 1:
        return str(picture_target("comparison.html", "--out", HTML_SUFFIXES).absolute())
    folders[0].job()  # raises where there is no run, before anything is written
    folders[0].check_writable("RUN")
    path = folders[0].path(FILE)
    return path if "://" in path else str(Path(path).absolute())


def _picture_folder(path: str) -> Path:
    folder = Path(path).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError.single(
            "--png", f"{path} cannot be made ({error.strerror})", "must be a folder"
        ) from None
    return folder
