"""`toprung predict`: what a retrained model says about image files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from toprung.results.analysis.render import Format, write
from toprung.search.commands.output_path import writable_file
from toprung.search.evaluation.prediction_table import PROBABILITY, predicted_table
from toprung.search.retrained.find_model import found_model
from toprung.spaces.errors import InputError, Problem, printable
from toprung.trainables.data.source_rules.formats import about_other_files
from toprung.trainables.saved_model.image_files import Unreadable, image_batches, image_files
from toprung.trainables.saved_model.loading import LoadedModel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SHOWN = 3  # probabilities of an image on the terminal


def predict_files(named: str, given: Sequence[str], layout: Format, out: str | None) -> None:
    """Print a row for each image, and name on standard error each file that is none.

    Args:
        named: A run, the folder of a model, or a .keras file.
        given: Files, and folders of images.
        layout: How the table is printed; rich shows the most probable classes, the others every probability.
        out: The file to write instead; None for standard output.

    Raises:
        InputError: There is no model, or none of the files is an image that it takes.
    """
    files = image_files(given)
    target = writable_file(out, "--out") if out is not None else None
    with found_model(named) as found:
        table, unreadable = predicted(LoadedModel.load(found.path, "RUN"), files.images)
    problems = [Problem(each.file, each.reason, "left out") for each in unreadable]
    if table.empty:
        raise InputError(problems)
    for problem in problems:
        print(f"toprung: {problem}", file=sys.stderr)
    if files.others:
        print(f"toprung: {printable(about_other_files(list(map(str, files.others))))}", file=sys.stderr)
    write(shortened(table) if layout == "rich" else table, layout, target)


def predicted(model: LoadedModel, files: Sequence[Path]) -> tuple[pd.DataFrame, list[Unreadable]]:
    """The table file, predicted, confidence, `probability/CLASS` in the order of the files, and what cannot be read."""
    tables: list[pd.DataFrame] = []
    unreadable: list[Unreadable] = []
    for batch in image_batches(files, model.description):
        if isinstance(batch, Unreadable):
            unreadable.append(batch)
            continue
        rows = predicted_table(model.predict(batch.images, batch=1), model.description.classes)
        rows.insert(0, "file", list(batch.files))
        tables.append(rows)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(), unreadable


def shortened(table: pd.DataFrame) -> pd.DataFrame:
    """The table for people: instead of every probability the highest few, with the names of their classes."""
    names = [name for name in table.columns if name.startswith(PROBABILITY)]
    values = table[names].to_numpy()
    order = np.argsort(-values, axis=1, kind="stable")[:, :SHOWN]
    told = [
        ", ".join(f"{names[place].removeprefix(PROBABILITY)} {row[place]:.3f}" for place in places)
        for row, places in zip(values, order.tolist(), strict=True)
    ]
    return table[["file", "predicted", "confidence"]].assign(most_probable=told)
