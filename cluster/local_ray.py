"""A Ray on this machine for one search, of the processes that a search uses, with a token where Ray finds none."""

from __future__ import annotations

import logging
import os
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toprung.cluster.interrupts import defer_interrupts

if TYPE_CHECKING:
    from collections.abc import Iterator

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"


class RayStartError(RuntimeError):
    """Ray did not start on this machine; run the same command again where it has more time or memory."""


def start_local_ray(cpus: int) -> None:
    """Start Ray with so many CPUs, and connect this process to it.

    Raises:
        RayStartError: It does not start.
    """
    import ray

    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Ray would start a process for each CPU ahead of need; a trial's worker has another environment and takes none.
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
    provide_local_token()
    try:
        with defer_interrupts(), _used_processes_only():
            ray.init(
                address="local",  # without it Ray would join a cluster that runs here, or one that has ended
                num_cpus=cpus,
                include_dashboard=False,
                configure_logging=True,
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
    except Exception as error:  # Ray raises a plain Exception where its own processes are not up in time
        raise RayStartError(f"Ray did not start on this machine: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """What an error says first; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


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


@contextmanager
def _used_processes_only() -> Iterator[None]:
    """Ray started in the block has no process for a dashboard, for lines of workers and for an autoscaler.

    A search on one machine uses none of them, each takes one to four seconds of a core, and `ray.init` waits for the
    first. Ray has no setting for it; a version without these methods starts them as usual.
    """
    try:
        from ray._private.node import Node
    except ImportError:
        yield
        return
    instead = {"start_api_server": _name_no_dashboard, "start_log_monitor": _start_nothing,
               "start_monitor": _start_nothing}  # fmt: skip
    kept = {name: vars(Node)[name] for name in instead if name in vars(Node)}
    for name in kept:
        setattr(Node, name, instead[name])
    try:
        yield
    finally:
        for name, method in kept.items():
            setattr(Node, name, method)


def _start_nothing(node: Any, **_: Any) -> None:
    """In place of a method of Ray's Node that starts a process."""


def _name_no_dashboard(node: Any, **_: Any) -> None:
    """Name an address of a dashboard at which there is none: Ray's agent looks for one every second, and logs it."""
    from ray._private.ray_constants import DASHBOARD_ADDRESS, KV_NAMESPACE_DASHBOARD

    node.get_gcs_client().internal_kv_put(
        DASHBOARD_ADDRESS.encode(), b"127.0.0.1:0", True, KV_NAMESPACE_DASHBOARD
    )
