"""A leaderboard for people (rich) and for programs (csv, json, parquet)."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from results.rows import config_of
from results.schema import CONFIG, EXTRA

if TYPE_CHECKING:
    from pathlib import Path

Format = Literal["rich", "csv", "json", "parquet"]
FORMATS: tuple[Format, ...] = ("rich", "csv", "json", "parquet")


def render(frame: pd.DataFrame, fmt: Format, title: str = "", width: int = 100, color: bool = False) -> bytes:
    """The frame as UTF-8 text or as a Parquet file. NaN and missing values are empty, null in JSON.

    csv, json (one object a row, times in ISO 8601) and parquet hold every column. rich is for `width`
    characters and joins the config/ columns in one, each trial with the parameters it has.
    """
    if fmt == "csv":
        return frame.to_csv(index=False).encode()
    if fmt == "json":
        text = frame.to_json(
            orient="records", date_format="iso", indent=1, double_precision=15, force_ascii=False
        )
        return (text.replace("\\/", "/") + "\n").encode()  # pandas escapes slashes, which JSON does not need
    if fmt == "parquet":
        sink = io.BytesIO()
        frame.to_parquet(sink, index=False)
        return sink.getvalue()
    return _rich(frame, title, width, color).encode()


def write(frame: pd.DataFrame, fmt: Format, out: Path | None = None, title: str = "") -> None:
    """Render to a file or to standard output, there in color and as wide as the terminal if it is one."""
    if out is not None:
        out.write_bytes(render(frame, fmt, title))
        return
    sys.stdout.flush()
    terminal = sys.stdout.isatty()
    width = _terminal_width() if terminal else 160
    sys.stdout.buffer.write(render(frame, fmt, title, width, terminal))
    sys.stdout.buffer.flush()


def config_text(config: dict[str, Any]) -> str:
    """A configuration on one line: `blocks=3 learning_rate=0.0123 optimizer=adam`."""
    return " ".join(f"{name}={_text(value)}" for name, value in sorted(config.items()))


def _rich(frame: pd.DataFrame, title: str, width: int, color: bool) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    plain = [str(name) for name in frame.columns if not str(name).startswith(CONFIG) and name != EXTRA]
    has_config = any(str(name).startswith(CONFIG) for name in frame.columns)
    table = Table(title=Text(title) if title else None, title_justify="left", box=None, pad_edge=False)
    for name in plain:
        is_number = pd.api.types.is_numeric_dtype(frame[name])
        table.add_column(Text(_heading(name)), justify="right" if is_number else "left", no_wrap=True)
    if has_config:
        table.add_column(Text(_heading("configuration")), overflow="fold", min_width=22)
    for record in frame.to_dict("records"):
        row = {str(name): value for name, value in record.items()}
        shown = ["" if pd.isna(row[name]) else _text(row[name]) for name in plain]
        shown += [config_text(config_of(row))] if has_config else []
        table.add_row(*map(Text, shown))
    console = Console(file=io.StringIO(), width=width, force_terminal=color, no_color=not color)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def _heading(name: str) -> str:
    """Two short lines, which leave room for the configuration."""
    first, _, rest = name.partition("_")
    return f"{first}\n{rest}" if rest else f"\n{first}"


def _text(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


def _terminal_width() -> int:
    import shutil

    return shutil.get_terminal_size().columns
