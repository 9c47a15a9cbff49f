"""A job made ready for a search: everything that it names looked up, its warnings told, its epochs planned."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from toprung.search.preparation.job_warnings import job_warnings
from toprung.search.preparation.planned_epochs import with_planned_epochs
from toprung.search.preparation.prepare import prepare

if TYPE_CHECKING:
    from toprung.search.jobs.schema import Job
    from toprung.search.preparation.prepare import PreparedJob

_log = logging.getLogger("toprung")


def prepare_search(job: Job, address: str | None) -> PreparedJob:
    """Prepare a job, and measure on the cluster at `address` what it leaves open.

    Raises:
        InputError: The job cannot be run; raised before anything starts.
        ClusterUnreachableError: No cluster answers at the address.
        RayStartError: There is no address, and Ray does not start on this machine.
    """
    prepared = prepare(job)
    for warning in job_warnings(prepared):
        _log.warning(warning)
    return with_planned_epochs(prepared, address)
