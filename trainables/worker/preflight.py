"""Whether a worker's node is fit for its search: looked at once in each worker, before its first trial.

What is wrong with a node fails every trial there, so it ends the search with one line instead of many failed trials.
"""

from __future__ import annotations

import platform
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from toprung.spaces.errors import InputError
from toprung.trainables.system.imports import keras_backend
from toprung.trainables.system.storage import Storage
from toprung.trainables.system.store_settings import adopt_store_settings
from toprung.trainables.worker.plan import DriverFacts
from toprung.trainables.worker.trainer_source import preload, start_worker_backend

if TYPE_CHECKING:
    from collections.abc import Callable

    from toprung.trainables.worker.plan import TrialPlan

TOKEN_FILE = ".driver-token"  # hidden: bookkeeping
TOKEN_SECS = 10.0
"""How long a new file may take to appear on another node: NFS clients keep the listing of a folder for seconds."""
LOOK_EVERY_SECS = 0.5
EXTRAS = {"tensorflow": ("TensorFlow", "toprung[gpu]"), "jax": ("JAX", "toprung[gpu-jax]")}
DISTRIBUTIONS = {"tensorflow": ("tensorflow", "tensorflow-cpu")}
"""By backend, the packages that bring it; a package of the same name where nothing else is given."""


class NodeUnfitError(RuntimeError):
    """A node cannot train what the driver asks for: mend it, or take it out of the cluster, then run again."""


@dataclass(frozen=True)
class NodeProblem:
    """What is wrong with a worker's node, in one line; sent to the driver in place of the worker's name."""

    line: str


def announce(root: str) -> DriverFacts:
    """Write a token into the run's storage and return what nodes are compared with. Raises `OSError`."""
    token = secrets.token_hex(16)
    Storage.at(root).put(TOKEN_FILE, token.encode())
    return DriverFacts(installed_versions(), root, token)


def node_problem(plan: TrialPlan) -> NodeProblem | None:
    """What is wrong with this process's node for a plan's trials; None if nothing is, or nothing is to be compared."""
    adopt_store_settings(plan.store_settings)
    facts = plan.preflight
    if facts is None:
        return None
    checks: tuple[Callable[[], str | None], ...] = (
        lambda: version_problem(facts.versions, installed_versions()),
        lambda: storage_problem(facts),
        lambda: images_problem(plan),
        lambda: accelerator_problem(plan),
    )
    found = next((problem for check in checks if (problem := check())), None)
    return NodeProblem(f"node {socket.gethostname()}: {found}") if found else None


def installed_versions() -> dict[str, str]:
    """The versions that have to be equal on all nodes, read without importing the packages."""
    backend = keras_backend()
    return {
        "Python": platform.python_version(),
        "toprung": _version("toprung"),
        "Keras": _version("keras"),
        "the Keras backend": f"{backend} {_version(*DISTRIBUTIONS.get(backend, (backend,)))}",
        "Ray": _version("ray"),
    }


def version_problem(driver: Mapping[str, str], here: Mapping[str, str]) -> str | None:
    """The versions that differ from the driver's."""
    differing = [
        f"{name} is {here[name]} and the driver's is {driver[name]}"
        for name in driver
        if here[name] != driver[name]
    ]
    return f"{', '.join(differing)}: install the same versions on every node" if differing else None


def storage_problem(facts: DriverFacts, wait_secs: float = TOKEN_SECS) -> str | None:
    """Whether the run's storage is another one here than for the driver, or cannot be read."""
    deadline = time.monotonic() + wait_secs
    while True:
        try:
            found = bytes(Storage.at(facts.root).read(TOKEN_FILE)).decode()
            reason = "holds what another driver wrote"
        except FileNotFoundError:
            found, reason = "", "lacks what the driver wrote there"
        except (OSError, InputError) as error:
            found, reason = "", f"cannot be read ({' '.join(str(error).split())})"
        if found == facts.token:
            return None
        if time.monotonic() >= deadline:
            shared = "storage.path must be a folder that all nodes share, or the URI of an object store"
            return f"{facts.root} is not the run's storage: it {reason}; {shared}"
        time.sleep(LOOK_EVERY_SECS)


def images_problem(plan: TrialPlan) -> str | None:
    """Whether the images cannot be read here, or are others than the driver's."""
    try:
        found = preload(plan).fingerprint
    except InputError as error:
        return "; ".join(map(str, error.problems))
    expected = plan.rules.data_fingerprint
    if found == expected:
        return None
    place = f" in {plan.data.path}" if plan.data.path else ""
    return f"the images{place} are not the driver's: fingerprint {found[:12]}, expected {expected[:12]}"


def accelerator_problem(plan: TrialPlan) -> str | None:
    """Whether Ray gives a GPU that the backend does not see; a CPU would train in its place and tell nobody."""
    if not plan.gpus:
        return None
    start_worker_backend(plan)
    from toprung.trainables.backend.engine import has_accelerator

    if has_accelerator():
        return None
    name, extra = EXTRAS[keras_backend()]
    gpus = f"{plan.gpus:g} GPU" if plan.gpus == 1 else f"{plan.gpus:g} of a GPU"
    return f"Ray gives {gpus}, {name} sees none: pip install '{extra}'"


def _version(*distributions: str) -> str:
    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "not installed"
