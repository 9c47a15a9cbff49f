"""The page in a real browser: it draws, asks nobody for anything, and reports no error."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from toprung.results.analysis.leaderboard import leaderboard
from toprung.results.report.charts.run_view import RunView
from toprung.results.report.run_page import run_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# Marks the third trial, filters the table, and writes what is seen into the page.
PROBE = """
<script>
addEventListener("load", () => setTimeout(() => {
  const pixels = canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const inked = canvas => pixels(canvas).some(one => one > 0);
  const charts = [...document.querySelectorAll(".plot")];
  const blank = charts.filter(plot => !inked(plot.querySelectorAll("canvas")[0])).map(plot => plot.parentElement.id);
  document.querySelector("#trials tbody tr:nth-child(3)").click();
  const marked = charts.filter(plot => inked(plot.querySelectorAll("canvas")[1])).length;
  const input = document.querySelector("#trials input");
  input.value = "outcome == COMPLETED"; input.dispatchEvent(new Event("input"));
  const rows = document.querySelectorAll("#trials tbody tr").length;
  const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
  const bar = document.querySelector("#chosen p").textContent;
  document.body.dataset.seen = JSON.stringify({ charts: charts.length, blank, marked, rows, wide, bar });
}, 500));
</script>
</body>
"""


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium (Debian package chromium) on this machine"),
]


def seen_in_browser(page: str, folder: Path, width: int) -> dict[str, Any]:
    """What PROBE found on a page; no error was reported, and the page's policy had nothing to refuse."""
    file = folder / "report.html"
    file.write_text(page.replace("</body>", PROBE))
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
               f"--window-size={width},1200", "--virtual-time-budget=5000", f"--user-data-dir={folder / 'profile'}",
               "--dump-dom", file.as_uri()]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert [line for line in ended.stderr.splitlines() if "CONSOLE" in line] == []
    (seen,) = re.findall(r'data-seen="([^"]*)"', ended.stdout)
    told: dict[str, Any] = json.loads(html.unescape(seen))
    return told


@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_draws_and_marks_a_trial_in_every_chart(
    view: Callable[..., RunView], tmp_path: Path, width: int
) -> None:
    shown = view()
    told = seen_in_browser(run_page(shown, ""), tmp_path, width)
    assert told["charts"] > 12 and told["blank"] == [] and not told["wide"]
    assert told["rows"] == (shown.board["outcome"] == "COMPLETED").sum()
    third = shown.board["trial_id"].iloc[2]
    assert told["bar"].startswith(third) and told["marked"] > 3


def test_a_trial_is_chosen_on_a_page_on_which_none_has_a_value_yet(
    view: Callable[..., RunView], tmp_path: Path
) -> None:
    made = view(3, is_active=True)
    none = {name: getattr(made, name).head(0) for name in ("epochs", "trials", "rungs")}
    board = leaderboard(made.proposals, none["epochs"], none["trials"], made.job.objectives)
    told = seen_in_browser(run_page(replace(made, board=board, **none), ""), tmp_path, 390)
    assert (told["charts"], told["rows"]) == (0, 0)
    assert told["bar"].startswith(f"{board['trial_id'].iloc[2]} RUNNING: no value")
