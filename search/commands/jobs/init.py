"""`toprung init`: look at the images and write a job file that suits them."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from toprung.search.suggestion.image_survey import survey
from toprung.search.suggestion.suggested_job import image_size, job_name, space_name, suggested_job
from toprung.spaces.errors import InputError, printable
from toprung.trainables.system.uris import absolute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.search.suggestion.image_survey import ImageSurvey

MAX_NAMED = 10  # classes


def write_job_file(path: str, out: str | None = None) -> Iterator[str]:
    """Write the job file and yield the lines that `toprung init` prints.

    Args:
        path: The folder, file or URI of the images.
        out: The job file; NAME.yaml in the working folder if None.

    Raises:
        InputError: The images cannot be used, or the file is there or cannot be written.
    """
    file = Path(out or f"{job_name(path)}.yaml")
    if file.exists():
        raise InputError.single("--out", f"{file} exists", "must be the name of a new file")
    if file.absolute().parent != Path.cwd():
        path = absolute(path)  # so that the job can be read from both folders
    found = survey(path)
    text = suggested_job(found, job_name(str(file.with_suffix(""))), quote(str(file)))
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        given = f"{file} cannot be written ({error.strerror or error})"
        raise InputError.single("--out", given, "must be a file in a folder that can be written") from None
    yield from _about(found)
    yield f"wrote      {file}"
    yield f"next       toprung check {quote(str(file))}"


def _about(found: ImageSurvey) -> Iterator[str]:
    splits = ", ".join(f"{count:,} {split}" for split, count in found.splits.items())
    height, width = found.median_size
    sizes = "" if found.is_uniform else " in the middle"
    yield f"images     {splits}; {height}x{width}{sizes}, {'grey' if found.is_grey else 'colour'}, {found.task_type}"
    named = [
        f"{printable(name)} {count:,}" for name, count in zip(found.classes, found.class_counts, strict=True)
    ]
    more = f" and {len(named) - MAX_NAMED:,} more" if len(named) > MAX_NAMED else ""
    yield f"classes    {', '.join(named[:MAX_NAMED])}{more}"
    size = image_size(found)
    resized = f"{size}x{size}" if isinstance(size, int) else f"{size[0]}x{size[1]}"
    yield f"space      {space_name(found)}, on images of {resized} pixels"
    for note in found.notes:
        yield f"note       {printable(note)}"
