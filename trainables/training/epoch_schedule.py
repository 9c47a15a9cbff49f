"""What each epoch of a trial is trained with, by its phases, its schedule and its plateau."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from toprung.trainables.models.phases import phase_at
from toprung.trainables.optimization.hyperparameters import RuntimeHyperparameters
from toprung.trainables.optimization.schedule import learning_rate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.trainables.backend.tensors import Scalar
    from toprung.trainables.models.phases import Phase
    from toprung.trainables.optimization.recipe import Recipe
    from toprung.trainables.training.feature_cache import KeptFeatures

PLATEAU = "plateau"  # the schedule, and the name of its state
EPOCH = "epoch"


class EpochSchedule:
    """The phase, the hyperparameters, the `open_share` and the `depth_decay` of the epoch that was entered last.

    `open_share` and `depth_decay` are float32: see `Phase`.

    Args:
        recipe: The trial's recipe.
        phases: The trial's phases.
        steps_per_pass: Batches that hold every image once.
        class_weights: Factors of the losses, see `RuntimeHyperparameters`.
        kept: The splits for which features of a frozen part can be kept.
    """

    def __init__(
        self,
        recipe: Recipe,
        phases: Sequence[Phase],
        steps_per_pass: int,
        class_weights: np.ndarray,
        kept: KeptFeatures,
    ) -> None:
        self._recipe, self._phases, self._kept = recipe, phases, kept
        self._steps_per_pass, self._class_weights = steps_per_pass, class_weights
        self._plateau = Plateau() if recipe.schedule == PLATEAU else None
        self.enter(1)

    def enter(self, epoch: int) -> None:
        """Begin an epoch (1-based). A phase begins at its full rate: its losses differ from those of the last one."""
        if self._plateau and epoch == phase_at(self._phases, epoch).first_epoch:
            self._plateau = Plateau()
        self._set_epoch(epoch)

    def _set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.phase = phase = phase_at(self._phases, epoch)
        lowered = self._plateau.factor if self._plateau else 1.0
        recipe = replace(self._recipe, **phase.recipe)
        recipe = replace(recipe, learning_rate=recipe.learning_rate * phase.rate * lowered)
        self.hyperparameters = RuntimeHyperparameters.from_recipe(
            recipe, self._steps_per_pass * self.passes * phase.epochs, self._class_weights
        )
        self.open_share = np.asarray(phase.open_share, np.float32)
        self.depth_decay = np.asarray(phase.depth_decay, np.float32)

    def learning_rate(self, step: Scalar) -> float:
        """The learning rate of a step of the phase, counted from 0."""
        return float(np.asarray(learning_rate(step, self.hyperparameters)))

    @property
    def strength(self) -> float | None:
        """The strength of the augmentation in this epoch; None where all phases have that of the recipe."""
        if all(phase.augmented for phase in self._phases):
            return None
        return self._recipe.augment if self.phase.augmented else 0.0

    @property
    def passes(self) -> int:
        """How often the epoch trains on each image."""
        return self.phase.passes if self.trains_on_features else 1

    @property
    def validates_on_features(self) -> bool:
        """Whether validation uses features: while the frozen part has the weights it started with."""
        return self._trains_head_alone and self._kept.val

    @property
    def trains_on_features(self) -> bool:
        """Whether training uses them too: where its images are the same in every epoch."""
        varies_images = self.phase.augmented and self._recipe.augment > 0.0
        return not varies_images and self.validates_on_features and self._kept.train

    @property
    def _trains_head_alone(self) -> bool:
        """Whether no weight below the head has changed or changes: in a first phase with an `open_share` of 0."""
        return self.phase.first_epoch == 1 and self.phase.open_share == 0.0

    def observe_loss(self, loss: float) -> None:
        """Take the training loss of the epoch, on which the learning rate of later ones may depend."""
        if self._plateau:
            self._plateau.observe_loss(loss)

    def state(self) -> dict[str, np.ndarray]:
        """The state after the epochs so far, by name: the last epoch's number, and that of the plateau."""
        plateau = {PLATEAU: self._plateau.state()} if self._plateau else {}
        return {EPOCH: np.asarray(self.epoch, np.int32), **plateau}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from what `state` returned; arrays with other names are ignored.

        The phase becomes that of the state's epoch, so that the network is evaluated as in that phase. A state of an
        earlier version has no epoch, and the phase is known when the next epoch is entered.
        """
        if self._plateau and PLATEAU in state:
            self._plateau = Plateau.from_state(state[PLATEAU])
        if EPOCH in state:
            self._set_epoch(int(state[EPOCH]))


PATIENCE_EPOCHS = 3
FACTOR = 1.0 / 3.0
LEAST_GAIN = 1e-4


@dataclass
class Plateau:
    """Lowers the learning rate to a third when three epochs in a row bring no lower training loss (by 1 in 10,000).

    It watches the training loss, not the validation loss: the winner is trained again on both splits, where no image
    is left to validate on, and has to get the same learning rates. `factor` multiplies the peak of the schedule.
    """

    best: float = math.inf
    waited_epochs: int = 0
    factor: float = 1.0

    def observe_loss(self, loss: float) -> None:
        """Take the training loss of one more epoch; NaN counts as no improvement."""
        if loss < self.best * (1.0 - LEAST_GAIN):
            self.best, self.waited_epochs = loss, 0
            return
        self.waited_epochs += 1
        if self.waited_epochs >= PATIENCE_EPOCHS:
            self.factor, self.waited_epochs = self.factor * FACTOR, 0

    def state(self) -> np.ndarray:
        """The state for `from_state`, float64 (3,)."""
        return np.array([self.best, self.waited_epochs, self.factor])

    @classmethod
    def from_state(cls, state: np.ndarray) -> Plateau:
        """The plateau whose `state` this is."""
        return cls(float(state[0]), int(state[1]), float(state[2]))
