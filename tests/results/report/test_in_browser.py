"""The page in a real browser: it draws, asks nobody for anything, and reports no error."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from toprung.results.report.run_page import run_page
from toprung.results.report.run_view import RunView

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


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium (Debian package chromium) on this machine")
@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_draws_and_marks_a_trial_in_every_chart(
    view: Callable[..., RunView], tmp_path: Path, width: int
) -> None:
    shown = view()
    file = tmp_path / "report.html"
    file.write_text(run_page(shown, "").replace("</body>", PROBE))
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
               f"--window-size={width},1200", "--virtual-time-budget=5000", f"--user-data-dir={tmp_path / 'profile'}",
               "--dump-dom", file.as_uri()]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    console = [line for line in ended.stderr.splitlines() if "CONSOLE" in line]
    assert console == [], "no error, and nothing that the page's policy had to refuse"
    (seen,) = re.findall(r'data-seen="([^"]*)"', ended.stdout)
    told = json.loads(seen.replace("&quot;", '"').replace("&amp;", "&").replace("&lt;", "<"))
    assert told["charts"] > 12 and told["blank"] == [] and not told["wide"]
    assert told["rows"] == (shown.board["outcome"] == "COMPLETED").sum()
    third = shown.board["trial_id"].iloc[2]
    assert told["bar"].startswith(third) and told["marked"] > 3
