"""A leaderboard for people (rich, markdown) and for programs (csv, json, parquet)."""

from __future__ import annotations

import io
import json
import math
import sys
import textwrap
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from toprung.results.tables.rows import config_of
from toprung.results.tables.schema import CONFIG, OVERFLOW
from toprung.spaces.definition.plain_values import plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Format = Literal["rich", "csv", "json", "parquet", "markdown"]
KEYS = ("rank", "trial_id", "epoch")
CONFIG_CHARS = 32  # with less room beside the table, configurations go below it
FORMATS: tuple[Format, ...] = ("rich", "csv", "json", "parquet", "markdown")


def render(frame: pd.DataFrame, fmt: Format, title: str = "", width: int = 100, color: bool = False) -> bytes:
    """The frame as UTF-8 text or as a Parquet file. NaN and missing values are empty, null in JSON.

    csv, json (one object a row, times in ISO 8601) and parquet hold every column. rich is for `width`
    characters and joins the config/ columns in one, each trial with the parameters it has: what all of them share
    stands once below the table, and so do all configurations where there is no room beside it. A table that is wider is
    broken into several, each with the trial; no value is cut. markdown has a column for each parameter that varies.
    """
    if fmt == "csv":
        return frame.to_csv(index=False).encode()
    if fmt == "json":
        records = [
            {str(name): _json_value(value) for name, value in row.items()} for row in frame.to_dict("records")
        ]
        return (json.dumps(records, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
    if fmt == "parquet":
        sink = io.BytesIO()
        frame.to_parquet(sink, index=False)
        return sink.getvalue()
    if fmt == "markdown":
        return _markdown(frame).encode()
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


def _json_value(value: Any) -> Any:
    """A cell for JSON: numbers with all their digits, times in ISO 8601, null for what is missing or not finite."""
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    value = plain(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _rich(frame: pd.DataFrame, title: str, width: int, color: bool) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    records = [{str(name): value for name, value in record.items()} for record in frame.to_dict("records")]
    plain = [str(name) for name in frame.columns if not str(name).startswith(CONFIG) and name != OVERFLOW]
    cells = [["" if pd.isna(record[name]) else _text(record[name]) for name in plain] for record in records]
    texts, shared = _configurations(records)
    is_beside = any(texts) and width - _width(plain, cells) >= CONFIG_CHARS
    blocks = _blocks(plain, cells, width)
    tables = []
    for block in blocks:
        table = Table(title=Text(title) if title else None, title_justify="left", box=None, pad_edge=False)
        for i in block:
            is_number = pd.api.types.is_numeric_dtype(frame[plain[i]])
            heading = Text(_heading(plain[i]))
            table.add_column(heading, justify="right" if is_number else "left", overflow="fold")
        if is_beside:
            table.add_column(Text(_heading("configuration")), overflow="fold")
        for row, text in zip(cells, texts, strict=True):
            shown = [row[i] for i in block]
            table.add_row(*map(Text, [*shown, text] if is_beside else shown))
        tables.append(table)
    console = Console(file=io.StringIO(), width=width, force_terminal=color, no_color=True)
    with console.capture() as captured:
        for table in tables:
            console.print(table)
    names = [] if is_beside else [str(record.get("trial_id", "")) for record in records]
    lines = [*zip(names, texts, strict=False), ("in all", shared)]
    below = [_folded(name, text, width) for name, text in lines if text]
    return captured.get() + "".join(f"{text}\n" for text in below)


def _blocks(names: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    """The columns of each table that fits into the width; all but the first begin with the trial, and its epoch."""
    keys = [i for i, name in enumerate(names) if name in KEYS]
    blocks: list[list[int]] = [[]]
    for i in range(len(names)):
        grown = [*blocks[-1], i]
        if (
            blocks[-1]
            and _width([names[j] for j in grown], [[row[j] for j in grown] for row in cells]) - 2 > width
        ):
            if i in keys and all(j in keys for j in blocks[-1]):
                blocks[-1] = grown
                continue
            grown = [*(j for j in keys if j < i), i]
            blocks.append(grown)
        else:
            blocks[-1] = grown
    return blocks


def _markdown(frame: pd.DataFrame) -> str:
    """A table of Markdown: values as `rich` shows them, without the parameters that all rows share."""
    config = [name for name in frame.columns if str(name).startswith(CONFIG)]
    same = [name for name in config if len(frame) > 1 and frame[name].astype(str).nunique(dropna=False) == 1]
    shown = frame.drop(columns=[*same, *({OVERFLOW} & {*frame.columns})])
    lines = ["| " + " | ".join(str(name).removeprefix(CONFIG) for name in shown.columns) + " |"]
    lines.append("|" + "---|" * len(shown.columns))
    for row in shown.astype(object).to_numpy().tolist():
        cells = [
            "" if pd.isna(value) else _text(value).replace("|", "\\|").replace("\n", " ") for value in row
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _configurations(records: Sequence[dict[str, Any]]) -> tuple[list[str], str]:
    """Each record's configuration on a line, and what all of them have in common on another."""
    configs = [config_of(record) for record in records]
    first = configs[0] if len(configs) > 1 else {}
    shared = {k: v for k, v in first.items() if all(k in config and config[k] == v for config in configs)}
    own = [config_text({k: v for k, v in config.items() if k not in shared}) for config in configs]
    return own, config_text(shared)


def _width(names: Sequence[str], cells: Sequence[Sequence[str]]) -> int:
    """Characters that columns of these cells take, two of space behind each."""
    columns = [[*_heading(name).split("\n"), *(row[i] for row in cells)] for i, name in enumerate(names)]
    return sum(max(map(len, column)) + 2 for column in columns)


def _folded(name: str, text: str, width: int) -> str:
    """A named text, wrapped at spaces, its further lines indented."""
    return textwrap.fill(
        f"{name:6}  {text}", max(width, 20), subsequent_indent=" " * 8, break_on_hyphens=False
    )


def _heading(name: str) -> str:
    """The name of a column in two short lines, which leave room for the configuration."""
    first, _, rest = name.partition("_")
    return f"{first}\n{rest}" if rest else f"\n{first}"


def _text(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


def _terminal_width() -> int:
    import shutil

    return shutil.get_terminal_size().columns
