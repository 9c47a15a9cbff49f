"""Names of the user's in pictures: drawn letter by letter, in whatever script. matplotlib is imported on use."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "Droid Sans Fallback",
    "Microsoft YaHei", "Hiragino Sans GB", "PingFang SC", "Arial Unicode MS", "Noto Sans Devanagari", "Noto Sans Thai",
)  # fmt: skip
"""Fonts with the letters of many scripts, of Linux, Windows and macOS."""


@contextmanager
def literal_texts() -> Iterator[None]:
    """Draw texts letter by letter, in whatever script.

    To matplotlib, what stands between two dollar signs is a formula, and its own font has no letters of East Asia,
    which fonts of the machine may have. A letter that none of them has is a box.
    """
    import matplotlib
    from matplotlib.font_manager import get_font_names

    installed = {*get_font_names()}
    fonts = ["DejaVu Sans", *(name for name in WIDE_FONTS if name in installed)]
    with matplotlib.rc_context({"text.parse_math": False, "font.family": fonts}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing")
        yield
