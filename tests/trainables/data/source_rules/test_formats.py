"""Whatever the installed Pillow decodes by itself is an image; a file without a suffix is known by its first bytes."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from toprung.trainables.data.source_rules.formats import (
    NOT_DECODED,
    SIGNATURE_BYTES,
    WITH_SIGNATURE,
    has_image_signature,
    has_image_suffix,
    readable_formats,
    suffix_of,
)


@pytest.mark.parametrize(
    "suffix",
    [
        "jpg",
        "jpeg",
        "jpe",
        "jfif",
        "png",
        "apng",
        "tif",
        "tiff",
        "bmp",
        "dib",
        "gif",
        "webp",
        "avif",
        "jp2",
        "j2k",
        "ppm",
        "pgm",
        "tga",
        "ico",
    ],
)
def test_common_suffixes_are_images_in_any_case(suffix: str) -> None:
    assert has_image_suffix(f"a.b/photo.{suffix}") and has_image_suffix(f"PHOTO.{suffix.upper()}")


@pytest.mark.parametrize(
    "name", ["a.txt", "a.heic", "a.pdf", "a.eps", "a.hdf", "a.mpg", "a.wmf", "a", "jpg", ".jpg"]
)
def test_other_files_are_no_images(name: str) -> None:
    assert not has_image_suffix(name)


def test_formats_that_pillow_only_names_or_hands_to_other_programs_are_left_out() -> None:
    assert not NOT_DECODED & readable_formats().keys()
    assert not {"GRIB", "HDF5", "BUFR", "WMF"} & readable_formats().keys()


@pytest.mark.parametrize("name", WITH_SIGNATURE)
def test_an_image_is_known_by_its_first_bytes(name: str) -> None:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, name)
    assert has_image_signature(out.getvalue()[:SIGNATURE_BYTES])


@pytest.mark.parametrize(
    "head", [b"", b"\n", b"Licensed under", b"\0" * 16, b"#!/bin/sh", b"P5 readme", b"PK\3\4"]
)
def test_other_content_is_no_image(head: bytes) -> None:
    assert not has_image_signature(head)


def test_a_suffix_is_what_follows_the_last_dot_of_a_name() -> None:
    names = {"a/b.JPG": ".jpg", "a.b/c": "", ".hidden": "", "x.tar.gz": ".gz", "x.": "."}
    assert {name: suffix_of(name) for name in names} == names
