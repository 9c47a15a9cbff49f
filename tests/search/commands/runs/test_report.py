"""`toprung report` and `toprung compare`: where the page goes, several runs, live pages, wrong input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toprung.results.analysis.comparison import groups_of
from toprung.results.report.comparison_page import best_so_far
from toprung.results.tables.run_lock import RunLock
from toprung.search.cli import main
from toprung.search.commands.runs.report import write_report
from toprung.search.commands.runs.run_views import compared_run, view_of


def test_the_page_lies_in_the_run_or_where_it_is_asked_for(
    made_run: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made_run()
    assert main(["report", folder.root]) == 0
    page = (Path(folder.root) / "report.html").read_text()
    assert "toprung retrain" in page and "t00021" in page
    assert (
        main(["report", folder.root, "--out", str(tmp_path / "p.html"), "--png", str(tmp_path / "pictures")])
        == 0
    )
    assert (tmp_path / "p.html").exists() and len(list((tmp_path / "pictures").glob("*.png"))) > 8
    assert "report     " in capsys.readouterr().out


def test_no_page_is_named_that_was_not_written(
    made_run: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(made_run().root)
    next((root / "trials").glob("*.parquet")).write_bytes(b"half")
    assert main(["report", str(root)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "toprung repair" in printed.err
    assert not (root / "report.html").exists()


def test_a_live_page_is_written_until_the_search_has_ended(
    made_run: Callable[..., Any], tmp_path: Path
) -> None:
    folder = made_run(epochs=20)
    file, lock, waited = tmp_path / "live.html", RunLock(folder.root), []

    def wait(secs: float) -> None:
        waited.append("loads itself again" in file.read_text())
        if len(waited) == 2:
            lock.release()

    list(write_report([folder.root], str(file), live=True, pictures=None, wait=wait))
    assert waited == [True, True] and "loads itself again" not in file.read_text()
    assert "ended early" in file.read_text()


def test_several_runs_are_compared_by_seeds(
    made_run: Callable[..., Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    roots = [made_run(f"{name}{seed}", 12, seed=seed, reduction_factor=factor).root
             for name, factor in (("a", 3), ("b", 4)) for seed in (1, 2)]  # fmt: skip
    assert main(["compare", *roots, "--format", "markdown"]) == 0
    told = capsys.readouterr().out
    assert "a1, a2" in told and "b1, b2" in told and "paired by 2 seeds" in told
    assert "| search.reduction_factor | 3 | 3 | 4 | 4 |" in told
    assert main(["compare", *roots]) == 0
    assert "…" not in capsys.readouterr().out
    assert main(["report", *roots]) == 0
    page = (tmp_path / "comparison.html").read_text()
    assert "Which settings are better" in page and "search.reduction_factor" in page and "Winners" in page


def test_the_interval_over_few_seeds_does_not_flatten_the_lines(made_run: Callable[..., Any]) -> None:
    folders = [made_run(f"a{seed}", 12, seed=seed) for seed in (1, 2)]
    views = [view_of(folder) for folder in folders]
    runs = [compared_run(view, folder.job()) for view, folder in zip(views, folders, strict=True)]
    for chart in best_so_far(views, runs, groups_of(runs, views[0].job.objectives.main)):
        values = np.concatenate([one.y for one in chart.series if one.kind == "step"])
        (band,) = [one for one in chart.series if one.kind == "band"]
        assert values.min() <= np.min(band.y) and np.max(band.to) <= values.max()


def test_two_single_runs_cannot_be_told_apart(
    made_run: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    roots = [made_run("a", 8).root, made_run("b", 8, reduction_factor=2).root]
    assert main(["compare", *roots]) == 0
    assert "cannot tell" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["report", "RUN", "--out", "report.pdf"], "--out: report.pdf"),
        (["report", "RUN", "--out", "/no/such/folder/r.html"], "--out: "),
        (["report", "nothing"], "RUN: nothing holds no job.yaml"),
        (["report", "RUN", "RUN", "--live"], "--live: 2 runs"),
        (["report", "RUN", "RUN", "--png", "x"], "--png: 2 runs"),
        (["report", "RUN", "--png", "/dev/null/x"], "--png: "),
        (["compare", "RUN"], "RUN: 1 run given"),
        (["compare", "RUN", "RUN"], "RUN: 1 run given"),
    ],
)
def test_wrong_input_is_told_in_one_line(
    made_run: Callable[..., Any], capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    root = made_run(trials=3).root
    assert main([root if one == "RUN" else one for one in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"toprung: {told.removesuffix(' given')}")
