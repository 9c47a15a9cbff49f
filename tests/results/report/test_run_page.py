"""The page of a run: one file that asks for nothing, with every section, small and quick for many trials."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from toprung.results.report.charts.chart import Axis, Chart, Series, evenly, rounded
from toprung.results.report.charts.run_view import RunView
from toprung.results.report.page import POLICY
from toprung.results.report.pictures import write_pictures
from toprung.results.report.run_page import charts_of, run_page

VOID = {"meta", "br", "input"}


class Structure(HTMLParser):
    """The tags of a page; raises where they do not nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sections: list[str] = []
        self.references: list[str] = []
        self.scripts = 0
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.scripts += tag == "script"
        self.sections += [str(given["id"])] if tag == "section" else []
        self.references += [str(given[name]) for name in ("src", "href") if given.get(name)]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def data_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'id="data">(.*?)</script>', page, flags=re.DOTALL)
    content: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(text)))
    return content


def test_the_page_is_one_file_that_refers_to_nothing_outside(view: Callable[..., RunView]) -> None:
    page = run_page(view(), "toprung retrain runs/made")
    structure = Structure(page)
    assert all(one.startswith("#") for one in structure.references)
    assert "default-src 'none'" in POLICY and POLICY in page
    assert structure.scripts == 2, "a name from the user's files starts no script"
    assert structure.sections == [
        "verdict", "best", "curves", "rungs", "cost", "importance", "proposals", "failures", "parallel", "table", "job",
    ]  # fmt: skip
    assert "toprung retrain runs/made" in page and "2026" in page


def test_charts_and_the_table_tell_the_trials_by_the_same_rows(view: Callable[..., RunView]) -> None:
    shown = view()
    data = data_of(run_page(shown, ""))
    ids = next(one for one in data["columns"] if one["name"] == "trial_id")
    assert [ids["words"][i] for i in ids["values"]] == shown.board["trial_id"].tolist()
    (curves,) = (chart for chart in data["charts"] if chart["id"] == "curves")
    drawn = {row for series in curves["series"] for row in series.get("trials", []) if row >= 0}
    measured = shown.epochs[shown.epochs["val_accuracy"].notna()]["trial_id"].unique()
    assert drawn == {shown.numbers[name] for name in measured}
    assert {"COMPLETED", "STOPPED", "RUNNING", "FAILED", "DIVERGED"} <= {
        one["name"] for one in curves["series"]
    }


def test_a_search_without_results_has_a_page(view: Callable[..., RunView]) -> None:
    shown = view(trials=0)
    page = run_page(shown, "")
    assert Structure(page).sections == ["verdict", "table", "job"]
    assert "no trial that may win has a value" in page and charts_of(shown) == []


@pytest.mark.parametrize("trials", [1, 2, 5])
def test_a_search_of_few_trials_has_a_page_that_cannot_tell_what_matters(
    view: Callable[..., RunView], trials: int
) -> None:
    page = run_page(view(trials), "")
    assert "Cannot tell" in page and Structure(page).sections[:2] == ["verdict", "best"]


def test_a_page_that_is_live_loads_itself_again(view: Callable[..., RunView]) -> None:
    page = run_page(view(is_active=True), "", refresh_secs=10.0)
    assert data_of(page)["refresh_secs"] == 10.0 and "loads itself again every 10 s" in page
    assert data_of(run_page(view(name="b"), ""))["refresh_secs"] is None


def test_every_chart_is_a_picture_too(view: Callable[..., RunView], tmp_path: Any) -> None:
    charts = charts_of(view(20))
    paths = list(write_pictures(charts, tmp_path))
    assert len(paths) == len(charts) > 10
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_names_with_dollar_signs_are_no_formulas(tmp_path: Any) -> None:
    name = r"$\price_$"
    series = Series(name, "bars", [0.0], [0.0], to=[1.0])
    chart = Chart("a", name, "", Axis(name), Axis(name, names=(name, r"5$ to 10$")), (series,))
    (path,) = write_pictures([chart], tmp_path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_numbers_are_short_and_what_is_not_finite_is_null() -> None:
    assert rounded([1.0, 0.1234567, float("nan"), 1e20, float("inf")]) == [1, 0.12346, None, 1e20, None]
    assert Chart("a", "", "", Axis(""), Axis(""), (Series("rule", "rule", [1.0]),)).is_empty


def test_thinning_keeps_what_is_to_be_kept() -> None:
    assert evenly(5, 10) == [0, 1, 2, 3, 4]
    kept = evenly(1000, 100, [3, 997])
    assert len(kept) <= 100 and {0, 3, 997, 999} <= {*kept}
