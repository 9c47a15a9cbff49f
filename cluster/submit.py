"""Run a toprung command on a Ray cluster: the one file that `ray submit` copies to the head.

    ray submit cluster/aws.yaml cluster/submit.py search my_job.yaml

`ray submit` runs this file with the login shell's `python`, which may be another one than toprung is installed for. It
needs the standard library alone, finds the toprung of the cluster's setup (see the head of the launcher file) and
becomes that command, on the cluster that this machine is the head of.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

VENV_BIN = Path.home() / "toprung-venv" / "bin"
ON_A_CLUSTER = ("search", "retrain")
TOKEN_FILE = Path.home() / ".ray" / "auth_token"


def toprung() -> str:
    """The path of the command: TOPRUNG, the launcher file's environment, or the PATH, in this order."""
    named = os.environ.get("TOPRUNG")
    here = VENV_BIN / "toprung"
    found = named or (str(here) if here.exists() else shutil.which("toprung"))
    if found is None:
        print(
            f"error: toprung: neither {here} nor `toprung` on the PATH of {os.uname().nodename}; run the launcher "
            "file's setup (`ray up`), or name the command in the variable TOPRUNG",
            file=sys.stderr,
        )
        raise SystemExit(2)
    return found


def environment() -> dict[str, str]:
    """The variables of the command: the cluster's token, and none of the limits that Ray sets for its own workers."""
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if TOKEN_FILE.exists() and "RAY_AUTH_TOKEN" not in env and "RAY_AUTH_TOKEN_PATH" not in env:
        env.setdefault("RAY_AUTH_MODE", "token")
        env["RAY_AUTH_TOKEN_PATH"] = str(TOKEN_FILE)
    return env


def command(arguments: list[str]) -> list[str]:
    """The whole command; a search and a retraining join the cluster unless an address is given."""
    joins = arguments[:1] and arguments[0] in ON_A_CLUSTER
    is_given = any(argument == "--address" or argument.startswith("--address=") for argument in arguments)
    return [toprung(), *arguments, *(["--address", "auto"] if joins and not is_given else [])]


if __name__ == "__main__":
    words = command(sys.argv[1:])
    os.execve(words[0], words, environment())
