"""What an autoscaler may add to a cluster: the resources of its node types, where it tells."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG_OPTION = "--autoscaling-config="
"""The option by which Ray's monitor, on the head, is told the cluster's launcher file."""


def node_types() -> list[dict[str, float]] | None:
    """The resources of each type of node that the autoscaler may start; None where none is known of.

    They stand in the cluster's own records where the autoscaler reports them, else in the launcher file that Ray's
    monitor was started with, where this process runs on the head. A cluster to which nodes join by hand has neither.
    """
    return _reported() or next(filter(None, map(types_in_launcher_file, _launcher_files())), None)


def _reported() -> list[dict[str, float]] | None:
    from ray._private.state import state

    config = state.get_cluster_config()
    groups = [] if config is None else [group for group in config.node_group_configs if group.max_count]
    return [dict(group.resources) for group in groups] or None


def types_in_launcher_file(path: Path) -> list[dict[str, float]] | None:
    """The resources of each type in a launcher file; None where they are not all given, for it may then be any."""
    try:
        types = yaml.safe_load(path.read_text())["available_node_types"].values()
        resources = [dict(kind["resources"]) for kind in types]
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError):
        return None
    return resources if all("CPU" in each for each in resources) else None


def _launcher_files() -> Iterator[Path]:
    from ray import get_runtime_context
    from ray.util import get_node_ip_address

    if get_runtime_context().gcs_address.rpartition(":")[0] != get_node_ip_address():
        return  # a monitor on this machine is another cluster's
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            for argument in process.cmdline():
                if argument.startswith(CONFIG_OPTION):
                    yield Path(argument.removeprefix(CONFIG_OPTION))
