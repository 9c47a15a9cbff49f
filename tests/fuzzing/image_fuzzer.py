"""Damages a folder of images as people and systems do; every image is used, named as unreadable, or told in a note."""

from __future__ import annotations

import io
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import DataSpec, load
from toprung.trainables.data.source_rules.formats import is_visible
from toprung.trainables.data.source_rules.paths import files_below
from toprung.trainables.data.sources.folder import FolderSource

CLASSES, EACH = ("cat", "dog", "owl"), 6
MAX_CHARS = 2000
FORMATS = ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP")
NAMES = (
    "train",
    "Test",
    "val",
    "images",
    "labels",
    ".hidden",
    "a b",
    "größe",
    "x" * 200,
    "-rf",
    "label=cat",
    "__MACOSX",
)
CONTENTS = (b"", b"<html>", b"\0" * 100, b"\xff\xd8\xff\xe0", b"PK\3\4", b"\x89PNG\r\n\x1a\n", b"II*\0")


def encoded(rng: random.Random, image_format: str) -> bytes:
    """A small image of random pixels."""
    pixels = np.frombuffer(rng.randbytes(8 * 8 * 3), np.uint8).reshape(8, 8, 3)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, image_format)
    return sink.getvalue()


def flip(root: Path, rng: random.Random) -> None:
    """Flip a bit of a file's header, or anywhere in it."""
    file = _file(root, rng)
    content = bytearray(file.read_bytes() or b"\0")
    content[rng.randrange(min(len(content), rng.choice([32, len(content)])))] ^= 1 << rng.randrange(8)
    file.write_bytes(bytes(content))


def cut(root: Path, rng: random.Random) -> None:
    """Leave the first bytes of a file."""
    file = _file(root, rng)
    content = file.read_bytes()
    file.write_bytes(content[: rng.randrange(len(content) + 1)])


def replace(root: Path, rng: random.Random) -> None:
    """Put something else into a file."""
    _file(root, rng).write_bytes(rng.choice(CONTENTS))


def recode(root: Path, rng: random.Random) -> None:
    """Store an image in another format under the same name."""
    _file(root, rng).write_bytes(encoded(rng, rng.choice(FORMATS)))


def rename(root: Path, rng: random.Random) -> None:
    """Give a file another suffix, or none."""
    file = _file(root, rng)
    file.rename(
        file.with_name(file.stem + rng.choice([".PNG", ".jpeg", ".tif", ".txt", "", ".jpg.bak", ".heic"]))
    )


def move(root: Path, rng: random.Random) -> None:
    """Move a file or a class folder to another place."""
    source = rng.choice([_file(root, rng), *(path for path in root.iterdir() if path.is_dir())])
    target = rng.choice([root, *(path for path in root.rglob("*") if path.is_dir())]) / rng.choice(
        [source.name, *NAMES]
    )
    if source not in (target, *target.parents) and not target.exists() and target.parent.is_dir():
        shutil.move(source, target)


def copy(root: Path, rng: random.Random) -> None:
    """Copy a class folder, or a file, beside another."""
    source = rng.choice([_file(root, rng), *(path for path in root.iterdir() if path.is_dir())])
    target = source.parent / rng.choice(NAMES)
    if not target.exists():
        shutil.copytree(source, target, symlinks=True) if source.is_dir() else shutil.copy(source, target)


def wrap(root: Path, rng: random.Random) -> None:
    """Put everything into one more folder."""
    inner = root / rng.choice(NAMES)
    if not inner.exists():
        entries = list(root.iterdir())
        inner.mkdir()
        for entry in entries:
            shutil.move(entry, inner / entry.name)


def divide(root: Path, rng: random.Random) -> None:
    """Put a part of each class into one folder, and the rest into another."""
    names = rng.sample(["2023", "2024", "site", *NAMES], 2)
    for folder in [path for path in root.iterdir() if path.is_dir() and path.name not in names]:
        for file in sorted(folder.iterdir()):
            home = root / rng.choice(names) / folder.name
            if home.parent.is_file() or (home / file.name).exists():
                continue
            home.mkdir(parents=True, exist_ok=True)
            shutil.move(file, home / file.name)
        if not any(folder.iterdir()):
            folder.rmdir()


def link(root: Path, rng: random.Random) -> None:
    """Add a link: to nothing, to the folder above, to itself."""
    place = _file(root, rng).with_name("link")
    if not place.is_symlink():
        place.symlink_to(rng.choice(["nothing.png", "..", "link", str(root)]), target_is_directory=True)


def empty(root: Path, rng: random.Random) -> None:
    """Add a folder that holds nothing, perhaps with the name of an image."""
    place = _file(root, rng).parent / rng.choice(["9.png", "new", "train", ".x"])
    if not place.exists():
        place.mkdir()


CHANGES: Sequence[Callable[[Path, random.Random], None]] = (
    flip, cut, replace, recode, rename, move, copy, wrap, divide, link, empty,
)  # fmt: skip


def outcomes(folder: Path, count: int, seed: int) -> Iterator[tuple[str, str]]:
    """For each of `count` damaged folders, what was done to it and what came of it.

    "told": refused in lines that can be read; "same": every image is used; "named": what is not used is counted in a
    note or named as unreadable; "SILENT" where files are missing without a word, "TRACEBACK" or "UNREADABLE" else.
    """
    rng = random.Random(seed)
    for number in range(count):
        root = folder / "set"
        shutil.rmtree(root, ignore_errors=True)
        _make(root, rng)
        done = rng.choices(CHANGES, k=1 + number % 3)
        for change in done:
            change(root, rng)
        what = f"{number}: {', '.join(change.__name__ for change in done)}"
        yield what, _outcome(root, folder / f"cache{number % 50}")
        shutil.rmtree(folder / f"cache{number % 50}", ignore_errors=True)


def _make(root: Path, rng: random.Random) -> None:
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for number in range(EACH):
            image_format = rng.choice(FORMATS)
            (root / name / f"{number}.{image_format.lower()}").write_bytes(encoded(rng, image_format))


def _file(root: Path, rng: random.Random) -> Path:
    return rng.choice(sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink()))


def _outcome(root: Path, cache: Path) -> str:
    spec = DataSpec("folder", str(root), image_size=8, max_corrupt_fraction=0.5)
    try:
        data = load(spec, cache)
    except InputError as error:
        lines = str(error).splitlines()
        readable = all(0 < len(line) < MAX_CHARS and line.isprintable() for line in lines)
        return "told" if lines and readable else f"UNREADABLE: {error!r}"
    except BaseException as error:
        return f"TRACEBACK: {error!r}"
    source = FolderSource(spec)
    images, told = _listed(source)
    used = sum(data.counts.values())
    if used + len(data.skipped) != len(images):
        return f"SILENT: {used} images used and {len(data.skipped)} named of {len(images)}"
    if passed_over := _visible_files(root) - {os.path.realpath(root / file) for file in (*images, *told)}:
        return f"SILENT: {sorted(passed_over)[:3]} not used"
    if told and not data.notes:
        return f"SILENT: {sorted(told)[:3]} in no note"
    return "named" if data.skipped or data.notes else "same"


def _listed(source: FolderSource) -> tuple[set[str], set[str]]:
    """The files that are taken for images, and those that are told as not used; relative to the root."""
    groups = [files for classes in source.files.values() for files in classes.values()]
    told = {file for files in groups for file in (*files.targets, *files.others)} | {*source.layout.outside}
    below = {f"{name}/{file}" for name in source.layout.unused for file in files_below(source.root / name)}
    return {file for files in groups for file in files.images}, told | below


def _visible_files(root: Path) -> set[str]:
    """The files that no one has hidden, and that no system has left behind."""
    below = (file for file in root.rglob("*") if file.is_file())
    return {os.path.realpath(file) for file in below if all(map(is_visible, file.relative_to(root).parts))}
