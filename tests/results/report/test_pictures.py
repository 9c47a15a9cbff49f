"""The charts as pictures: texts are drawn as they are, and none of them is a formula."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from toprung.results.report.charts.chart import Axis, Chart, Series
from toprung.results.report.pictures import write_pictures


@pytest.mark.parametrize("rates", [(1e-4, 1e-1), (3e-3, 9e-3)], ids=["decades", "within a decade"])
def test_names_and_numbers_are_drawn_letter_by_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rates: tuple[float, float]
) -> None:
    drawn: dict[str, bool] = {}
    save = Figure.savefig

    def saved(figure: Figure, *arguments: Any, **settings: Any) -> None:
        save(figure, *arguments, **settings)
        texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
        drawn.update({text.get_text(): text.get_parse_math() for text in texts if text.get_text()})

    monkeypatch.setattr(Figure, "savefig", saved)
    x = np.geomspace(*rates, 9)
    series = (Series("$a$", "points", x, x), Series("b", "line", x, x))
    chart = Chart("rate", "costs $1 to $2", "", Axis("learning_rate", log=True), Axis("value"), series)
    (path,) = write_pictures([chart], tmp_path)
    assert path.stat().st_size > 1000
    assert {"costs $1 to $2", "learning_rate", "$a$", "b"} <= drawn.keys()
    assert not any(drawn.values()) and not [text for text in drawn if "mathdefault" in text]
    labels = {
        float(text) for text in drawn if text.replace(".", "").replace("e", "").replace("-", "").isdigit()
    }
    assert any(rates[0] <= label <= rates[1] for label in labels), "the axis of rates has numbers"
