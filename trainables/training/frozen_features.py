"""Training of the head alone on features: the frozen part of a network sees each image once.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from toprung.trainables.training.feature_cache import KeptFeatures
from toprung.trainables.training.split_network import SplitNetwork
from toprung.trainables.trial.resource_usage import ResourceUsage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.trainables.backend.engine import Engine
    from toprung.trainables.models.phases import FrozenBoundary
    from toprung.trainables.task.task import Split
    from toprung.trainables.training.batches import Feed
    from toprung.trainables.training.feature_cache import FeatureCache
    from toprung.trainables.training.network import Network
    from toprung.trainables.training.state import State
    from toprung.trainables.trial.execution import ExecutionPlan


class HeadOnlyTraining:
    """What epochs in which only the head trains need beyond the model itself.

    The head's step is compiled, and features are computed, when they are first needed.

    Args:
        network: The whole network.
        boundary: Where its frozen part ends; None without one.
        engine: Compiles.
        accelerated: Whether an accelerator trains.
        cache: Keeps the features.
        plan: How the model is computed.
    """

    def __init__(
        self,
        network: Network,
        boundary: FrozenBoundary | None,
        engine: Engine,
        accelerated: bool,
        cache: FeatureCache,
        plan: ExecutionPlan,
    ) -> None:
        if boundary is not None:
            # Both change how features are rounded, and a trial's must not depend on which trial computed them.
            boundary = boundary._replace(key=(boundary.key, plan.precision, plan.micro_batches))
        self._network, self._boundary, self._engine = network, boundary, engine
        self._accelerated, self._cache, self._micro_batches = accelerated, cache, plan.micro_batches
        self._split_network: SplitNetwork | None = None

    @property
    def traces(self) -> int:
        """How often the head's step was traced."""
        return self._split_network.step.traces if self._split_network else 0

    def kept(self, train: Split, val: Split) -> KeptFeatures:
        """The splits whose features can be kept."""
        if self._boundary is None:
            return KeptFeatures()
        width, both = int(self._boundary.end.shape[-1]), len(train.labels) + len(val.labels)
        return KeptFeatures(self._cache.fits(len(val.labels), width), self._cache.fits(both, width))

    @property
    def split_network(self) -> SplitNetwork:
        """The network split at its boundary, built when it is first needed."""
        if self._split_network is None:
            if self._boundary is None:
                raise RuntimeError("a network without a frozen part cannot be split")
            watches_loss = not self._accelerated
            self._split_network = SplitNetwork(
                self._network, self._boundary, self._engine, watches_loss, self._micro_batches
            )
        return self._split_network

    def prepare(self, state: State, views: Sequence[tuple[Split, bool]]) -> ResourceUsage:
        """Compile what the features need, and compute them: of splits, each with whether to mirror its images.

        Returns:
            What that took.
        """
        began = time.perf_counter()
        for split, _ in views:
            self._compile(state, split)
        compiled = time.perf_counter()
        for split, mirror in views:
            self.features(state, split, mirror)
        return ResourceUsage(compile_secs=compiled - began, input_wait_secs=time.perf_counter() - compiled)

    def features(self, state: State, split: Split, mirror: bool = False) -> tuple[Split, Feed]:
        """The split with features in the place of images, or of their mirror images, and a feed of it."""
        network = self.split_network
        key = (network.key, "mirrored") if mirror else network.key
        return self._cache.get(key, split, lambda: network.features(state, split, mirror), self._accelerated)

    def _compile(self, state: State, split: Split) -> None:
        network = self.split_network
        # XLA compiles at the first call, which is made for one image; not where another model left the features.
        if self._engine.xla and not (network.has_computed or self._cache.holds(network.key, split)):
            network.features(state, type(split)(images=split.images[:1], labels=split.labels[:1]))
