"""The command line: arguments, exit codes, interrupts, the time that its help takes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from toprung.search.arguments import build_parser
from toprung.search.cli import COMMANDS, main
from toprung.spaces.errors import InputError


def test_every_command_has_arguments_and_a_function() -> None:
    parser = build_parser()
    for name in COMMANDS:
        arguments = ["x", "t00000"] if name == "rerun" else ["x"]
        assert parser.parse_args([name, *arguments]).command == name
    with pytest.raises(SystemExit):
        parser.parse_args(["searc", "x"])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["serch"],
        ["search"],
        ["search", "x", "--address", ""],
        ["search", "x", "--address", "nonsense"],
        ["search", "x", "--address", "host:"],
        ["search", "x", "--address", "host:99999"],
        ["search", "x", "--address", ":6379"],
        ["status", "x", "--top", "0"],
        ["simulate", "x", "--epoch-secs", "nan"],
        ["simulate", "x", "--failures", "1.1"],
        ["retrain", "x", "--address", " "],
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("toprung: ") and "--help` shows what is allowed" in line


def test_help_comes_within_half_a_second_and_loads_nothing_heavy() -> None:
    heavy = (
        "{'numpy', 'pandas', 'pyarrow', 'pydantic', 'yaml', 'ray', 'tensorflow', 'keras', 'mlflow', 'rich'}"
    )
    code = (
        "import sys\nfrom toprung.search.cli import main\n"
        "try: main(['--help'])\n"
        f"except SystemExit: print('loaded', sorted({heavy} & set(sys.modules)))"
    )
    began = time.perf_counter()
    ended = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    secs = time.perf_counter() - began
    assert ended.stdout.splitlines()[-1] == "loaded []"
    assert secs < 0.5 or _processor_secs(code) < 0.5


def _processor_secs(code: str) -> float:
    """Processor time of the same process, for a machine that is busy with other work."""
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(
    ("command", "interrupted", "line"),
    [
        (
            ["retrain", "x"],
            "toprung.search.winner.retrain.retrain_winner",
            "the same command continues",
        ),
        (["search", "x"], "toprung.search.runs.extended_job.load_extended", "the same command continues"),
        (
            ["search", "x", "--set", "search.trials=+4"],
            "toprung.search.runs.extended_job.load_extended",
            "or adds as many again once all",
        ),
    ],
)
def test_an_interrupted_command_says_what_the_next_start_of_it_does(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    interrupted: str,
    line: str,
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(interrupted, interrupt)
    assert main(command) == 130
    assert line in capsys.readouterr().err


def test_a_file_that_this_user_may_not_use_is_wrong_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "a/.report.json.1234")

    monkeypatch.setattr("toprung.search.winner.retrain.retrain_winner", refuse)
    assert main(["retrain", "x"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "toprung: a/.report.json.1234 cannot be read or written (Permission denied); "
        "must be a path that this user may read or write"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_being_terminated_and_the_end_of_the_terminal_are_interrupts_unless_ignored(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hang_up(*_: object) -> None:
        signal.raise_signal(number)
        raise InputError.single("RUN", "nothing came", "goes on")

    monkeypatch.setattr("toprung.search.winner.retrain.retrain_winner", hang_up)
    before = signal.getsignal(number)
    try:
        signal.signal(number, signal.SIG_DFL)
        assert main(["retrain", "x"]) == 130
        signal.signal(number, signal.SIG_IGN)
        assert main(["retrain", "x"]) == 2
    finally:
        signal.signal(number, before)
    assert "nothing came" in capsys.readouterr().err
