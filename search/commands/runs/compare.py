"""`toprung compare`: several runs beside each other in the terminal, as far as seeds can tell them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from toprung.results.analysis.comparison import differing, groups_of
from toprung.results.analysis.render import Format, write
from toprung.results.report.comparison_page import contrast_table, runs_table
from toprung.search.commands.runs.run_views import compared_run, view_of
from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence


def show_comparison(roots: Sequence[str], layout: Format) -> None:
    """Print the runs, which settings are better, and in what they differ.

    Raises:
        InputError: A run is none, there is one alone, or their metrics differ.
    """
    if len(set(roots)) < 2:
        raise InputError.single("RUN", f"{len(set(roots))} run", "must be two runs or more")
    folders = [RunFolder(root) for root in roots]
    views = [view_of(folder) for folder in folders]
    metrics = list(dict.fromkeys(view.metric for view in views))
    if len(metrics) > 1:
        raise InputError.single(
            "RUN", f"the metrics are {', '.join(metrics)}", "must be the same in all runs"
        )
    runs = [compared_run(view, folder.job()) for view, folder in zip(views, folders, strict=True)]
    groups = groups_of(runs, views[0].job.objectives.main)
    write(_frame(*runs_table(views)), layout)
    print()
    write(_frame(*contrast_table(groups, views)), layout)
    differences = differing(runs)
    if differences:
        print()
        rows = [
            [key, *("" if value is None else str(value) for value in values)]
            for key, values in differences.items()
        ]
        write(_frame(["setting", *(run.name for run in runs)], rows), layout)
    else:
        print("\nnothing differs in the jobs and images of these runs")


def _frame(names: Sequence[str], rows: Sequence[Sequence[object]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(names))
