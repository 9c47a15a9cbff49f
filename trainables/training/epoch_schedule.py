"""The course of one trial: what each of its epochs is trained with, by its phases, its schedule and its plateau."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.trainables.models.phases import phase_at
from toprung.trainables.optimization.optimizers import RuntimeHyperparameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.trainables.models.phases import Phase
    from toprung.trainables.optimization.recipe import Recipe

PLATEAU = "plateau"  # the schedule, and what its state is called
EPOCH = "epoch"


class EpochSchedule:
    """Leads a trial from epoch to epoch; `phase`, `hyper` and `open_share` are those of `epoch`, entered last."""

    def __init__(
        self, recipe: Recipe, phases: Sequence[Phase], steps_per_epoch: int, class_weights: Any
    ) -> None:
        self._recipe, self._phases = recipe, phases
        self._steps_per_epoch, self._class_weights = steps_per_epoch, class_weights
        self._plateau = Plateau() if recipe.schedule == PLATEAU else None
        self.enter(1)

    def enter(self, epoch: int) -> None:
        """Begin an epoch (1-based); a phase begins with its whole rate, as its losses are not those of the last one."""
        if self._plateau and epoch == phase_at(self._phases, epoch).first_epoch:
            self._plateau = Plateau()
        self._lead(epoch)

    def _lead(self, epoch: int) -> None:
        self.epoch = epoch
        self.phase = phase = phase_at(self._phases, epoch)
        lowered = self._plateau.factor if self._plateau else 1.0
        recipe = replace(self._recipe, learning_rate=self._recipe.learning_rate * phase.rate * lowered)
        self.hyper = RuntimeHyperparameters.from_recipe(
            recipe, self._steps_per_epoch * phase.epochs, self._class_weights
        )
        self.open_share = np.asarray(phase.open_share, np.float32)

    @property
    def augment(self) -> float | None:
        """The strength of the augmentation in this epoch; None where all phases have that of the recipe."""
        if all(phase.augmented for phase in self._phases):
            return None
        return self._recipe.augment if self.phase.augmented else 0.0

    def see(self, loss: float) -> None:
        """Take the training loss of the epoch, which the ones to come may depend on."""
        if self._plateau:
            self._plateau.see(loss)

    def state(self) -> dict[str, np.ndarray]:
        """What the epochs so far have left, by name: the last one's number, and for one schedule more."""
        left = {PLATEAU: self._plateau.state()} if self._plateau else {}
        return {EPOCH: np.asarray(self.epoch, np.int32), **left}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` holds of it; other names are passed over.

        The phase is that of its epoch: what a network is scored through must not be what another phase left. One of
        an earlier version does not tell, and the phase is known when the next epoch is entered.
        """
        if self._plateau and PLATEAU in state:
            self._plateau = Plateau.from_state(state[PLATEAU])
        if EPOCH in state:
            self._lead(int(state[EPOCH]))


PATIENCE_EPOCHS = 3
FACTOR = 1.0 / 3.0
LEAST_GAIN = 1e-4


@dataclass
class Plateau:
    """Lowers the rate to a third when three epochs in a row bring no lower training loss (by 1 in 10,000).

    It watches the training loss, not the validation loss: the winner is trained again on both splits, where no image
    is left to watch, and has to meet the same rates. `factor` is what the peak rate is to be multiplied by.
    """

    best: float = math.inf
    waited_epochs: int = 0
    factor: float = 1.0

    def see(self, loss: float) -> None:
        """Take the training loss of one more epoch; NaN counts as no improvement."""
        if loss < self.best * (1.0 - LEAST_GAIN):
            self.best, self.waited_epochs = loss, 0
            return
        self.waited_epochs += 1
        if self.waited_epochs >= PATIENCE_EPOCHS:
            self.factor, self.waited_epochs = self.factor * FACTOR, 0

    def state(self) -> np.ndarray:
        """What `from_state` goes on from, float64 (3,)."""
        return np.array([self.best, self.waited_epochs, self.factor])

    @classmethod
    def from_state(cls, state: np.ndarray) -> Plateau:
        """Where `state` was taken."""
        return cls(float(state[0]), int(state[1]), float(state[2]))
