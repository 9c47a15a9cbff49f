"""Training in phases: which layers train from which epoch on, and how fast they learn."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from toprung.trainables.backend.tensors import Tensor


@dataclass(frozen=True)
class Phase:
    """Epochs with a learning-rate schedule of their own, which start with an empty optimizer.

    first_epoch, epochs: the first epoch (1-based) and their number.
    open_share: weights train whose depth (0 at the output, up to 1 at the input) is at most this.
    rate: the peak of the schedule, as a factor of the recipe's learning rate.
    augmented: whether images are augmented.
    passes: how often an epoch trains on each image where the features of a frozen part are kept, so that a pass costs
        next to nothing; elsewhere an epoch is one pass.
    depth_decay: the learning rate of a weight at depth 1, as a share of that at depth 0; a power of it in between
        (discriminative rates, Howard & Ruder 2018).
    recipe: fields of the recipe that are others in this phase.
    """

    first_epoch: int
    epochs: int
    open_share: float = 1.0
    rate: float = 1.0
    augmented: bool = True
    passes: int = 1
    depth_decay: float = 1.0
    recipe: Mapping[str, Any] = field(default_factory=dict)


def consecutive_phases(phases: Iterable[Phase], max_epochs: int) -> tuple[Phase, ...]:
    """The phases one after the other up to `max_epochs`, whatever their `first_epoch`; empty ones left out."""
    placed: list[Phase] = []
    first = 1
    for phase in phases:
        epochs = min(phase.epochs, max_epochs - first + 1)
        if epochs > 0:
            placed.append(replace(phase, first_epoch=first, epochs=epochs))
            first += epochs
    return tuple(placed)


def phase_at(phases: Sequence[Phase], epoch: int) -> Phase:
    """The phase of an epoch (1-based); the last phase has no end."""
    return next(phase for phase in reversed(phases) if phase.first_epoch <= epoch)


class FrozenBoundary(NamedTuple):
    """Where the part of a model ends that a head-only phase leaves unchanged.

    `end` is the KerasTensor (batch, features) that this part computes. `key` names all that its values depend on beside
    the images, so that models with other heads can share them.
    """

    end: Tensor
    key: Hashable
