"""The cluster that Ray means by "auto": the one that this machine is part of.

Ray has no public function for it, and `ray.init` itself tries for minutes, with lines of its own, where the cluster of
which the machine keeps the address has ended.
"""

from __future__ import annotations


def latest_cluster() -> str:
    """HOST:PORT of the cluster that runs here, or of the last one that `ray start` began.

    Raises:
        ConnectionError: There is none.
    """
    from ray._private.services import canonicalize_bootstrap_address

    found: str | None = canonicalize_bootstrap_address("auto")
    if found is None:
        raise ConnectionError("no cluster was started on this machine")
    return found
