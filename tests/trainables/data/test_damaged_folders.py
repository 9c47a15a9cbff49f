"""Whatever happens to a folder of images, it is refused in a line, or no image is left out without a word."""

from __future__ import annotations

from pathlib import Path

from image_fuzzer import outcomes


def test_no_image_is_left_out_without_a_word(tmp_path: Path) -> None:
    found = list(outcomes(tmp_path, 40, seed=1))
    assert [one for one in found if one[1] not in ("told", "same", "named")] == []
    assert {outcome for _, outcome in found} == {"told", "same", "named"}
