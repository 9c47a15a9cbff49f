"""The page of a run as one HTML file: what it says is in the file, and it asks nobody for anything."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.results.report.charts.chart import Chart

SCRIPTS = ("chart.js", "parallel.js", "table.js", "page.js")
# The browser itself refuses whatever would be loaded from elsewhere.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Section:
    """A part of a page: a heading, HTML that stands before its charts, and the charts that have something to show."""

    id: str
    title: str
    html: str = ""
    charts: tuple[Chart, ...] = ()
    parallel: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it."""
        return not (self.html or self.parallel or any(not one.is_empty for one in self.charts))


@dataclass(frozen=True)
class PageData:
    """What the scripts of a page work on.

    Attributes:
        metric: Its name, and "max" or "min", which is better.
        columns: The trial table: name, values by row, words of a column of texts, whether it is shown.
        parallel: The columns that are axes of the parallel coordinates.
        refresh_secs: After how long the page loads itself again; None never.
    """

    metric: dict[str, str]
    columns: Sequence[dict[str, Any]] = ()
    parallel: Sequence[str] = ()
    refresh_secs: float | None = None


def html_page(title: str, lead: str, sections: Sequence[Section], data: PageData) -> str:
    """The whole page; `title` is a text, `lead` is HTML for below it."""
    filled = [one for one in sections if not one.is_empty]
    charts = [chart for one in filled for chart in one.charts if not chart.is_empty]
    has_parallel = any(one.parallel for one in filled)
    content = {
        "metric": data.metric,
        "columns": list(data.columns),
        "charts": [chart.as_json() for chart in charts],
        "parallel": list(data.parallel) if has_parallel else [],
        "refresh_secs": data.refresh_secs,
    }
    links = "".join(f'<li><a href="#{one.id}">{escape(one.title)}</a></li>' for one in filled)
    body = "\n".join(_section(one) for one in filled)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(title)}</title>
<style>
{_asset("page.css")}</style>
</head>
<body>
<a class="skip" href="#{filled[0].id if filled else ""}">Skip to the content</a>
<main>
<h1>{escape(title)}</h1>
{lead}
<nav aria-label="Sections"><ul>{links}</ul></nav>
{body}
</main>
<div id="chosen" class="bar" role="status" hidden><p></p><button type="button">clear</button></div>
<div id="tip" hidden></div>
<div id="said" class="quiet" aria-live="polite"></div>
<script type="text/plain" id="data">{_packed(content)}</script>
<script>
{"".join(map(_asset, SCRIPTS))}</script>
</body>
</html>
"""


def html_table(columns: Sequence[str], rows: Sequence[Sequence[object]], wrapped: Sequence[str] = ()) -> str:
    """A table; numbers stand right, texts of the columns `wrapped` may take several lines."""
    numeric = [
        all(isinstance(row[i], int | float) or row[i] is None for row in rows) for i in range(len(columns))
    ]
    head = "".join(
        f'<th scope="col"{" class=n" if is_number else ""}>{escape(name)}</th>'
        for name, is_number in zip(columns, numeric, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{_cell_class(name, is_number, wrapped)}>{escape(cell_text(value))}</td>"
            for name, value, is_number in zip(columns, row, numeric, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def cell_text(value: object) -> str:
    """A value as a page shows it: numbers with four digits, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _cell_class(name: str, is_number: bool, wrapped: Sequence[str]) -> str:
    return " class=n" if is_number else " class=wrap" if name in wrapped else ""


def _section(section: Section) -> str:
    charts = "".join(_figure(chart) for chart in section.charts if not chart.is_empty)
    grid = f'<div class="charts">{charts}</div>' if charts else ""
    parallel = _PARALLEL if section.parallel else ""
    return (
        f'<section id="{section.id}" aria-labelledby="{section.id}-title">'
        f'<h2 id="{section.id}-title">{escape(section.title)}</h2>{section.html}{grid}{parallel}</section>'
    )


def _figure(chart: Chart) -> str:
    wide = ' class="wide"' if chart.wide else ""
    spoken = f"{chart.title}. {chart.note} Chart; the arrow keys go from mark to mark, Enter chooses a trial."
    return (
        f'<figure id="chart-{escape(chart.id)}"{wide}><h3>{escape(chart.title)}</h3>'
        f'<figcaption>{escape(chart.note)}</figcaption><ul class="legend"></ul>'
        f'<div class="plot" role="group" aria-label="{escape(spoken)}"></div></figure>'
    )


_PARALLEL = """<figure id="chart-parallel" class="wide">
<figcaption>One line a trial, darker where it is better. Drag along an axis to keep the trials within, also in
the table; a tap on the axis lets them go.</figcaption>
<div class="plot" role="group" aria-label="Parallel coordinates of all trials; the table below has the same values and
can be filtered."></div></figure>"""


def _packed(content: dict[str, Any]) -> str:
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode("utf-8", "backslashreplace"), 6, mtime=0)).decode()


def _asset(name: str) -> str:
    return (files("toprung.results.report") / "assets" / name).read_text(encoding="utf-8")
