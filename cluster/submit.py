"""Run a toprung command on a Ray cluster: the one file that `ray submit` copies to the head.

    ray submit cluster/aws.yaml cluster/submit.py search my_job.yaml

`ray submit` runs this file in the home folder with the login shell's `python`, which may be another one than toprung
is installed for. The file needs the standard library alone, finds the toprung of the launcher file's setup and becomes
that command, on the cluster that this machine is the head of.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

VENV_BIN = Path.home() / "toprung-venv" / "bin"
TOKEN_FILE = Path.home() / ".ray" / "auth_token"
TAKES_ADDRESS = ("search", "retrain")
TAKES_JOB = ("check", "simulate", "search")
WRONG_INPUT = 2


def main(arguments: list[str]) -> None:
    """Become the command; ends with a line on stderr and exit code 2 where the command or its job is not here."""
    program = _toprung()
    _check_job(arguments)
    os.execve(program, [program, *arguments, *_address(arguments)], _environment())


def _toprung() -> str:
    """The path of the command: the variable TOPRUNG, the launcher file's environment, or the PATH, in this order."""
    installed = VENV_BIN / "toprung"
    found = os.environ.get("TOPRUNG") or (str(installed) if installed.exists() else shutil.which("toprung"))
    if found is None:
        _stop(
            f"neither {installed} nor `toprung` on the PATH of {_machine()}; run the launcher file's setup (`ray up`), "
            "or name the command in the variable TOPRUNG"
        )
    if not os.access(found, os.X_OK):
        _stop(f"TOPRUNG={found}: no such command on {_machine()}")
    return found


def _check_job(arguments: list[str]) -> None:
    files = [word for word in arguments[1:] if word.endswith((".yaml", ".yml")) and not word.startswith("-")]
    if arguments[:1] and arguments[0] in TAKES_JOB and files and not Path(files[0]).exists():
        name = files[0]
        _stop(
            f"{name}: no such file in {Path.cwd()} of {_machine()}; copy it there: "
            f"ray rsync-up CLUSTER.yaml {name} {name}"
        )


def _address(arguments: list[str]) -> list[str]:
    """`--address auto` for a command that trains, unless an address is given."""
    trains = arguments[:1] and arguments[0] in TAKES_ADDRESS
    is_given = any(word == "--address" or word.startswith("--address=") for word in arguments)
    return ["--address", "auto"] if trains and not is_given else []


def _environment() -> dict[str, str]:
    """The variables of the command: the cluster's token, without the thread limit that `ray submit` sets."""
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if TOKEN_FILE.exists() and "RAY_AUTH_TOKEN" not in env and "RAY_AUTH_TOKEN_PATH" not in env:
        env.setdefault("RAY_AUTH_MODE", "token")
        env["RAY_AUTH_TOKEN_PATH"] = str(TOKEN_FILE)
    return env


def _machine() -> str:
    return os.uname().nodename


def _stop(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(WRONG_INPUT)


if __name__ == "__main__":
    main(sys.argv[1:])
