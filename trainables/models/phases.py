"""Training in phases: which layers train from which epoch on, and how fast they learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from toprung.trainables.backend.tensors import Tensor


@dataclass(frozen=True)
class Phase:
    """Epochs with a learning-rate schedule of their own, which start with an empty optimizer.

    first_epoch, epochs: the first epoch (1-based) and their number.
    open_share: weights train whose depth (0 at the output, up to 1 at the input) is at most this.
    rate: the peak of the schedule, as a factor of the recipe's learning rate.
    augmented: whether images are augmented.
    """

    first_epoch: int
    epochs: int
    open_share: float = 1.0
    rate: float = 1.0
    augmented: bool = True


def consecutive_phases(lengths: Iterable[tuple[int, float, float]], max_epochs: int) -> tuple[Phase, ...]:
    """Phases one after the other up to `max_epochs`, from (epochs, open_share, rate) of each; empty ones left out."""
    phases: list[Phase] = []
    first = 1
    for epochs, open_share, rate in lengths:
        epochs = min(epochs, max_epochs - first + 1)
        if epochs > 0:
            phases.append(Phase(first, epochs, open_share, rate))
            first += epochs
    return tuple(phases)


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
