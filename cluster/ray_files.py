"""What Ray keeps in files on this machine: the address of its latest cluster, and the token of one started here."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"


def latest_cluster() -> str:
    """HOST:PORT of the cluster that Ray means by "auto": one that runs here, or the last that `ray start` began.

    Ray has no public function for it, and `ray.init` itself tries for minutes, with lines of its own, where that
    cluster has ended.

    Raises:
        ConnectionError: There is none.
    """
    from ray._private.services import canonicalize_bootstrap_address

    found: str | None = canonicalize_bootstrap_address("auto")
    if found is None:
        raise ConnectionError("no cluster was started on this machine")
    return found


def provide_local_token() -> None:
    """Give Ray a new token in the environment if it needs one and has no place for it.

    Ray writes the token of a local cluster to ~/.ray/auth_token and does not start where it cannot. In a container that
    runs under any user id the home folder is often one that may only be read.
    """
    asked = os.environ.get(MODE, "token").lower() == "token"
    if asked and not (os.environ.get(TOKEN) or os.environ.get(TOKEN_PATH)) and not _is_kept_at_home():
        os.environ[TOKEN] = secrets.token_hex(32)


def _is_kept_at_home() -> bool:
    """Whether Ray's file is there to be read, or can be made."""
    try:
        file = Path.home() / ".ray" / "auth_token"
        if file.exists():
            return os.access(file, os.R_OK)
    except (RuntimeError, OSError):  # a user without a home, or one that may not be looked into
        return False
    nearest = next(folder for folder in file.parents if folder.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
