"""What the process that trains the winner is sent, on this machine or on another."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toprung.results.analysis.winner import Winner
    from toprung.search.retrained.kept_models import ModelFolder
    from toprung.search.runs.run_folder import RunFolder
    from toprung.trainables.worker.retraining import RetrainPlan


@dataclass(frozen=True)
class WinnerTraining:
    """All that a process needs to train, save and test the winner, on this machine or on another.

    Attributes:
        model_folder: Where the model goes, in a run under a path or URI that every node knows.
        run_name: The job's name.
        winner: What is trained.
        plan: How.
        calibrate: Whether a training on train alone comes first, whose validation logits calibrate the model.
    """

    model_folder: ModelFolder
    run_name: str
    winner: Winner
    plan: RetrainPlan
    calibrate: bool = True

    @property
    def folder(self) -> RunFolder:
        """The run."""
        return self.model_folder.run

    @property
    def epochs(self) -> int:
        """The number of epochs to train."""
        return self.plan.trial.rules.max_epochs

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of what the weights follow from: configuration, seed, epochs, images, the user's code."""
        plan = self.plan
        rules = plan.trial.rules
        owner = [dict(plan.config), plan.seed, rules.max_epochs, plan.schedule_epochs, rules.data_fingerprint]
        text = json.dumps([*owner, plan.trial.family.fingerprint], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()
