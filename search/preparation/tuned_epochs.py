"""Searches of pretrained networks, whose trials begin with the head alone: what their rungs may compare, and when.

The head says nothing of how well a trial tunes the network, and the first epochs of the tuning say little: they lose
what the head had learned, the more the faster they learn, and take a third of the training or so to win it back. Rungs
there would keep what is tuned least.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from toprung.spaces.families.transfer import TRANSFER, head_only_epochs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from toprung.search.jobs.schema import Job

TUNED_SHARE = 3  # the first rung lies after one part in so many of the tuning
FEWEST_TUNED = 8  # epochs of tuning that a full training needs to end above its head


def leaves_first_rung_open(job: Job) -> bool:
    """Whether the first rung follows from the epochs that the trials of a job train the head alone."""
    return job.space.name == TRANSFER and "min_epochs" not in job.search.model_fields_set


def first_rung(configs: Iterable[Mapping[str, Any]], max_epochs: int) -> int:
    """The first epoch at which trials of these configurations of the space "transfer" are worth comparing."""
    head = min(max_epochs, max(map(head_only_epochs, configs)))
    return head + -(-(max_epochs - head) // TUNED_SHARE) if head else 1


def fewest_epochs(configs: Iterable[Mapping[str, Any]]) -> int:
    """The epochs of a full training with which tuning can pay in trials of these configurations."""
    head = max(map(head_only_epochs, configs))
    return head + FEWEST_TUNED if head else 1


def with_first_rung(job: Job, configs: Iterable[Mapping[str, Any]]) -> Job:
    """The job with a first rung for trials of these configurations, where it leaves it open."""
    if not leaves_first_rung_open(job):
        return job
    search = job.search.model_copy(update={"min_epochs": first_rung(configs, job.search.max_epochs)})
    return job.model_copy(update={"search": search})
