"""The arguments of the command line: what each command takes, and how its values are checked."""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WRONG_INPUT = 2
TABLE_FORMATS = ("rich", "csv", "json", "parquet", "markdown")
CONDITION = "only rows that meet a condition, as in \"outcome == 'COMPLETED' and val_accuracy > 0.9\""
FORMATS = ("savedmodel", "onnx", "litert", "openvino")
QUANTIZATIONS = ("float16", "int8")


class OneLineParser(argparse.ArgumentParser):
    """Reports wrong arguments in one line, like every other error."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with code 2."""
        self.exit(WRONG_INPUT, f"toprung: {message}; `{self.prog} --help` shows what is allowed\n")


class _Version(argparse.Action):
    """Prints the version, which is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print it and exit with code 0."""
        from importlib.metadata import version

        sys.stdout.write(f"toprung {version('toprung')}\n")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line; `command` of its result is the name of the command."""
    parser = OneLineParser(
        prog="toprung", description="Finds the best training configuration for an image classifier."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")

    def add(name: str, description: str, add_arguments: Callable[[argparse.ArgumentParser], None]) -> None:
        add_arguments(commands.add_parser(name, help=description, description=description))

    add("init", "look at images and write a job file that suits them", _init)
    add("check", "check a job and describe what it will do", _check)
    add("search", "run a job's search, or continue it", _search)
    add("status", "show progress and leaders of a run, from its tables", _status)
    add("table", "show the trials of a run, best first", _table)
    add("compare", "show several runs beside each other, and what differs", _compare)
    add("report", "write the page of a run as one HTML file, or of several runs", _report)
    add("export-study", "write a run as an Optuna study", _export_study)
    add("simulate", "predict what a search would cost and find", _simulate)
    add("retrain", "train the winner again, test it once, save it", _retrain)
    add("repair", "repair damaged tables of a run: keep what can be read, say what is lost", _run)
    add("sync", "write to MLflow what it lacks of a run", _sync)
    add("predict", "classify image files with a retrained model", _predict)
    add("export", "write a retrained model in other formats and compare each with it", _export)
    add("serve", "answer HTTP requests with a retrained model", _serve)
    add("rerun", "train a trial of a run again and compare what comes out", _rerun)
    return parser


def _init(parser: argparse.ArgumentParser) -> None:
    images = "the images: a folder, a Parquet or NPZ file, or a URI"
    parser.add_argument("folder", metavar="FOLDER", type=_root, help=images)
    parser.add_argument("--out", metavar="FILE", help="the job file (NAME.yaml in the working folder)")


def _check(parser: argparse.ArgumentParser) -> None:
    _job(parser)
    draw = "draw the job's images under its augmentation, as in out.png"
    parser.add_argument("--preview", metavar="FILE", help=draw)


def _search(parser: argparse.ArgumentParser) -> None:
    _job(parser)
    cluster = 'a running Ray cluster; "auto" for the one this machine is part of'
    parser.add_argument("--address", type=_address, help=cluster)
    again = "train the trials of the run again that raised an error"
    parser.add_argument("--retry-failed", action="store_true", help=again)


def _status(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    parser.add_argument("--top", metavar="N", type=_count, default=5, help="number of leaders (5)")


def _table(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    parser.add_argument("--top", metavar="N", type=_count, help="number of rows (all)")
    parser.add_argument("--format", choices=TABLE_FORMATS, default="rich")
    parser.add_argument("--where", metavar="EXPR", default="", help=CONDITION)
    parser.add_argument(
        "--sort", metavar="COLUMN", default="", help="sort by a column; --sort=-NAME: largest first"
    )
    names = "only these columns, separated by commas"
    parser.add_argument("--columns", metavar="NAMES", type=_columns, default=(), help=names)
    parser.add_argument("--epochs", action="store_true", help="every epoch instead of every trial")
    unbeaten = "only trials that no other trial beats in every objective"
    parser.add_argument("--pareto", action="store_true", help=unbeaten)
    parser.add_argument("--retrained", action="store_true", help="the retrained models instead of the trials")


def _compare(parser: argparse.ArgumentParser) -> None:
    _runs(parser)
    parser.add_argument("--format", choices=("rich", "markdown"), default="rich")


def _report(parser: argparse.ArgumentParser) -> None:
    _runs(parser)
    parser.add_argument("--out", metavar="FILE", help="the HTML file (report.html in the run)")
    parser.add_argument(
        "--live", action="store_true", help="write it again every ten seconds while the search runs"
    )
    parser.add_argument("--png", metavar="FOLDER", help="also write each chart as a picture")


def _export_study(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    target = "an Optuna storage, as in sqlite:///study.db (the default, with the run's name), or a .log file"
    parser.add_argument("storage", metavar="STORAGE", nargs="?", help=target)


def _simulate(parser: argparse.ArgumentParser) -> None:
    _job(parser)
    workers = "numbers of workers (1 4 16 64)"
    parser.add_argument(
        "--workers", metavar="N", type=_count, nargs="+", default=[1, 4, 16, 64], help=workers
    )
    curves = "a finished run to take the learning curves from"
    parser.add_argument("--from", dest="run", metavar="RUN", help=curves)
    _amount_option(parser, "--epoch-secs", 60.0, "seconds of an epoch, unless --from is given (60)")
    _amount_option(parser, "--worker-startup-secs", 0.0, "seconds until a worker can train (0)")
    _amount_option(parser, "--trial-startup-secs", 0.0, "seconds until a trial trains on a worker (0)")
    _share_option(parser, "--stragglers", "share of trials that run three times slower, 0 to 1 (0)")
    _share_option(parser, "--failures", "share of trials that fail, 0 to 1 (0)")
    parser.add_argument("--out", metavar="PNG", help="draw the best value over time")


def _retrain(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    parser.add_argument("--trial", metavar="ID", help="this trial instead of the best, as in t00012")
    cluster = "a running Ray cluster that confirms the best, as for search"
    parser.add_argument("--address", type=_address, help=cluster)
    now = "the best of what has ended so far, though the search still runs"
    parser.add_argument("--now", action="store_true", help=now)
    anyhow = "make the model the champion whatever its test says"
    parser.add_argument("--promote", action="store_true", help=anyhow)
    _overrides(parser, "change a setting, as in retrain.epochs=20")


def _sync(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _overrides(parser, "change a setting, as in tracking.uri=http://HOST:5000")


def _predict(parser: argparse.ArgumentParser) -> None:
    model = "a run, the folder of one of its models, or a model.keras"
    parser.add_argument("run", metavar="RUN", type=_root, help=model)
    parser.add_argument("files", metavar="FILE", nargs="*", help="images, or folders of images")
    parser.add_argument("--format", choices=("rich", "csv", "json", "parquet"), default="rich")
    parser.add_argument("--out", metavar="FILE", help="write the table there instead of printing it")


def _export(parser: argparse.ArgumentParser) -> None:
    model = "a run, whose champion is exported, or the folder of one of its models"
    parser.add_argument("run", metavar="RUN", type=_root, help=model)
    formats = "savedmodel (the default), onnx, litert, openvino; several with commas between"
    parser.add_argument("--to", metavar="FORMATS", type=_names(FORMATS), default=FORMATS[:1], help=formats)
    smaller = "float16, int8 or both: also write smaller files, where the format can"
    parser.add_argument("--quantize", metavar="TYPES", type=_names(QUANTIZATIONS), default=(), help=smaller)
    share = "share of the test images that must get the label they get from the model itself (0.98)"
    parser.add_argument("--agreement", metavar="SHARE", type=_share, default=0.98, help=share)


def _serve(parser: argparse.ArgumentParser) -> None:
    model = "a run, whose champion is served, the folder of one of its models, or a model.keras"
    parser.add_argument("run", metavar="RUN", type=_root, help=model)
    listen = "address to listen at (127.0.0.1)"
    parser.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help=listen)
    parser.add_argument("--port", metavar="N", type=_count, default=5000, help="port to listen at (5000)")


def _rerun(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    parser.add_argument("trial", metavar="TRIAL", help="a trial that has ended, as in t00012")
    cluster = "a running Ray cluster that trains it, as for search"
    parser.add_argument("--address", type=_address, help=cluster)
    _overrides(parser, "where the images are now, as in data.path=FOLDER")


def _job(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", help="the job file (YAML)")
    _overrides(parser, "change a setting of the job, as in search.trials=40")


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=_root, help="the run folder or URI, as in runs/quickstart")


def _runs(parser: argparse.ArgumentParser) -> None:
    text = "run folders or URIs, as in runs/quickstart"
    parser.add_argument("runs", metavar="RUN", type=_root, nargs="+", help=text)


def _overrides(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="A.B=C", help=text)


def _amount_option(parser: argparse.ArgumentParser, name: str, default: float, text: str) -> None:
    parser.add_argument(name, metavar="SECS", type=_amount, default=default, help=text)


def _share_option(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    parser.add_argument(name, metavar="SHARE", type=_share, default=0.0, help=text)


def _root(text: str) -> str:
    from toprung.trainables.system.uris import broken_path_rule, without_trailing_slash

    if rule := broken_path_rule(text):
        raise argparse.ArgumentTypeError(f"the path {rule}")
    return without_trailing_slash(text)  # shell completion ends a folder's name with a slash


def _columns(text: str) -> tuple[str, ...]:
    return tuple(name for name in (part.strip() for part in text.split(",")) if name)


def _names(allowed: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Reads names with commas between them."""

    def read(text: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in text.split(","))
        wrong = [name for name in names if name not in allowed]
        if wrong:
            raise argparse.ArgumentTypeError(f"{wrong[0]!r} given, must be of {', '.join(allowed)}")
        return names

    return read


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} given, must be a whole number above 0")
    return int(text)


def _amount(text: str, maximum: float = math.inf) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0.0 <= value <= maximum and math.isfinite(value)):
        allowed = "0 or more" if maximum == math.inf else f"from 0 to {maximum:g}"
        raise argparse.ArgumentTypeError(f"{text!r} given, must be a number {allowed}")
    return value


def _share(text: str) -> float:
    return _amount(text, 1.0)


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    is_port = port.isdecimal() and 0 < int(port) < 65_536
    if text not in ("auto", "local") and not (is_port and host and not any(map(str.isspace, host))):
        from toprung.spaces.errors import shown

        given = shown(text) if text.strip() else "nothing"
        raise argparse.ArgumentTypeError(f"{given} given, must be HOST:PORT or auto")
    return text
