"""What `toprung export` prints: every file beside the original model, and which of them does not agree with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from toprung.results.analysis.render import write
from toprung.search.commands.output_path import short_path
from toprung.search.export.measure import BATCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.search.export.export_model import Exported


class DisagreementError(RuntimeError):
    """An exported file answers differently from its model; it is kept under another name."""


def show_exports(exported: Sequence[Exported], least_agreement: float) -> None:
    """Print the table of the files.

    Raises:
        DisagreementError: A file gives the model's label on too few of the images.
    """
    has_test = exported[0].split == "test"
    images = "test images" if has_test else "validation images"
    rows = [
        {
            "format": each.format if each.quantization == "none" else f"{each.format} {each.quantization}",
            **({"test_accuracy": each.answers.accuracy} if has_test else {}),
            "agreement": each.answers.agreement,
            "largest_difference": each.answers.largest_difference,
            "size_MB": each.size_bytes / 1e6,
            "one_image_ms": each.speed.one_image_ms,
            "batch_image_ms": each.speed.batch_image_ms,
        }
        for each in exported
    ]
    write(pd.DataFrame(rows), "rich")
    threads = exported[0].speed.threads
    print(
        f"on {threads} thread{'' if threads == 1 else 's'} of this machine's CPU; an image in a batch of {BATCH}"
    )
    if not has_test:
        print("no test images: the agreement is that on the validation images")
    for each in exported[1:]:
        print(f"{'wrote' if each.is_accepted else 'REJECTED':10} {short_path(each.file)}")
    wrong = [each for each in exported if not each.is_accepted]
    if wrong:
        told = ", ".join(f"{short_path(each.file)} on {each.answers.agreement:.3f}" for each in wrong)
        raise DisagreementError(
            f"less than --agreement {least_agreement:g} of the {images} get the label of the model itself: {told}"
        )
