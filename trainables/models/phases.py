"""Training in phases: which layers are open to training from which epoch on, and how fast they learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from toprung.trainables.models.family import Family


@dataclass(frozen=True)
class Phase:
    """Epochs that share a learning-rate schedule of their own and an optimizer that starts empty.

    Open are the weights whose depth (0 at the output, up to 1 at the input) is at most `open_share`. The schedule's
    peak is `rate` times the recipe's learning rate. Without `augmented` the images are left as they are.
    """

    first_epoch: int
    epochs: int
    open_share: float = 1.0
    rate: float = 1.0
    augmented: bool = True


def phases_of(family: Family, config: Mapping[str, Any], max_epochs: int) -> tuple[Phase, ...]:
    """The phases a family plans, in order; a family that plans none trains everything in one."""
    plan = getattr(family, "phases", None)
    planned: Sequence[Phase] = plan(config, max_epochs) if plan else ()
    return tuple(planned) or (Phase(1, max_epochs),)


def consecutive_phases(parts: Iterable[tuple[int, float, float]], max_epochs: int) -> tuple[Phase, ...]:
    """Phases of (epochs, open_share, rate) one after the other, cut at `max_epochs`, the empty ones left out."""
    phases: list[Phase] = []
    first = 1
    for epochs, open_share, rate in parts:
        epochs = min(epochs, max_epochs - first + 1)
        if epochs > 0:
            phases.append(Phase(first, epochs, open_share, rate))
            first += epochs
    return tuple(phases)


def phase_at(phases: Sequence[Phase], epoch: int) -> Phase:
    """The phase of an epoch (1-based); the last one goes on for as long as it is asked to."""
    return next(phase for phase in reversed(phases) if phase.first_epoch <= epoch)


class FrozenBoundary(NamedTuple):
    """Where the part of a model ends that a head-only phase leaves as it is.

    `end` is the KerasTensor (batch, features) that leads out of it; `key` what its values depend on beside the images,
    so that models of other heads can share them.
    """

    end: Any
    key: Hashable
