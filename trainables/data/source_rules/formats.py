"""The image formats that the installed Pillow reads, and the files that hold them."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

from toprung.trainables.data.source_rules.first_names import first_names
from toprung.trainables.data.source_rules.paths import open_regular

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.trainables.data.source_rules.paths import Place

COMMON = "JPEG, PNG, TIFF, WebP, AVIF, GIF, BMP and whatever else the installed Pillow reads"
# Pillow names these formats and reads no pixels of them by itself, or starts another program (Ghostscript) to do so.
NOT_DECODED = frozenset({"EPS", "MPEG", "IPTC", "PDF"})
OPENED_AS = {"MPO": "JPEG"}  # formats without a reader of their own
# Formats whose first bytes are unmistakable: a file without a suffix is taken for one of these or for no image.
WITH_SIGNATURE = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "JPEG2000")
SIGNATURE_BYTES = 16
# What systems leave in folders of images; it is nobody's data and is not worth a note.
SYSTEM_FILES = frozenset({".ds_store", "thumbs.db", "desktop.ini", "__macosx"})


@cache
def readable_formats() -> Mapping[str, tuple[str, ...]]:
    """Image format, as Pillow names it -> the suffixes of its files, lower case with the dot."""
    from PIL import Image, ImageFile

    Image.init()
    opened_by_others = {
        name
        for name, (factory, _) in Image.OPEN.items()
        if isinstance(factory, type) and issubclass(factory, ImageFile.StubImageFile)
    }
    names = sorted({*Image.OPEN} - opened_by_others - NOT_DECODED)
    owners = {suffix: OPENED_AS.get(name, name) for suffix, name in Image.registered_extensions().items()}
    return {name: tuple(suffix for suffix, owner in owners.items() if owner == name) for name in names}


@cache
def image_suffixes() -> frozenset[str]:
    """The suffixes of all files that can be read, lower case with the dot."""
    return frozenset(suffix for suffixes in readable_formats().values() for suffix in suffixes)


def suffix_of(file: str) -> str:
    """The suffix of a file's name, lower case with the dot; the empty string where it has none."""
    name = file.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""


def is_visible(name: str) -> bool:
    """Whether a file or folder is neither hidden nor one that a system leaves behind."""
    return not name.startswith(".") and name.lower() not in SYSTEM_FILES


def has_image_suffix(file: str) -> bool:
    """Whether the name of a file says that it is an image that can be read."""
    return suffix_of(file) in image_suffixes()


def has_image_signature(head: bytes) -> bool:
    """Whether the first `SIGNATURE_BYTES` of a file are those of an image in one of `WITH_SIGNATURE`."""
    from PIL import Image

    Image.init()
    accepts = [Image.OPEN[name][1] for name in WITH_SIGNATURE if name in Image.OPEN]
    return any(accept is not None and accept(head) is True for accept in accepts)


def is_image_file(place: Place) -> bool:
    """Whether a file is an image that can be read: by its suffix, or by its first bytes where it has none."""
    if suffix_of(place.name):
        return has_image_suffix(place.name)
    try:
        with open_regular(place) as stream:
            return has_image_signature(stream.read(SIGNATURE_BYTES))
    except OSError:
        return False


def counted_by_suffix(files: Sequence[str]) -> str:
    """The numbers of files by their suffixes, the most common first."""
    counts = Counter("hidden" if "/." in file else suffix_of(file) or "without a suffix" for file in files)
    return first_names([f"{count:,} {kind}" for kind, count in counts.most_common()])


def about_other_files(files: Sequence[str]) -> str:
    """The note about files among images that are none."""
    verb = "files are" if len(files) > 1 else "file is"
    kinds = counted_by_suffix(files)
    return f"{len(files):,} {verb} no image that can be read and not used: {kinds}, such as {files[0]}"
