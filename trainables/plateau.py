"""The learning rate lowered when training stands still."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

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
