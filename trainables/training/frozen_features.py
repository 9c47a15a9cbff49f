"""A network cut where its frozen part ends: what that part makes of each image is computed once and kept.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from toprung.trainables.models.phases import FrozenBoundary
from toprung.trainables.training.batches import CHUNK_BYTES, StreamedFeed, feed_for
from toprung.trainables.training.network import Network
from toprung.trainables.training.state import State
from toprung.trainables.training.step import TrainingStep
from toprung.trainables.trial.resource_usage import ResourceUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from toprung.trainables.backend.engine import Engine
    from toprung.trainables.optimization.optimizers import RuntimeHyperparameters
    from toprung.trainables.task.task import Split
    from toprung.trainables.training.batches import Feed
    from toprung.trainables.trial.execution import ExecutionPlan

MOST_BYTES = 2**30  # of each worker
BATCH_IMAGES = 64  # of a call where batches stay whole


class FeatureCache:
    """Features of the splits in use, in `most_bytes` of memory; those used longest ago go first."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self._kept: OrderedDict[tuple[Hashable, int], tuple[Split, Split, Feed]] = OrderedDict()

    def takes(self, images: int, width: int) -> bool:
        """Whether `width` features of so many images fit in at all."""
        return 4 * width * images <= self.most_bytes

    def get(
        self, key: Hashable, split: Split, compute: Callable[[], np.ndarray], accelerated: bool
    ) -> tuple[Split, Feed]:
        """The split with features, float32 (N, features), for images, and a feed of it; computed if not there."""
        place = (key, id(split))  # kept beside them, so that no other split can get this id
        if place not in self._kept:
            features = type(split)(images=compute(), labels=np.asarray(split.labels))
            while self._kept and self._bytes + features.images.nbytes > self.most_bytes:
                self._kept.popitem(last=False)
            feed = (
                feed_for(features, accelerated) if accelerated else StreamedFeed(features, CHUNK_BYTES // 4)
            )
            self._kept[place] = (split, features, feed)
        self._kept.move_to_end(place)
        _, features, feed = self._kept[place]
        return features, feed

    def holds(self, key: Hashable, split: Split) -> bool:
        """Whether `get` would compute nothing."""
        return (key, id(split)) in self._kept

    def clear(self) -> None:
        """Give all the memory back."""
        self._kept.clear()

    @property
    def _bytes(self) -> int:
        return sum(features.images.nbytes for _, features, _ in self._kept.values())


class HeadNetwork(Network):
    """What comes behind the frozen part, as a network from features; nothing is augmented any more."""

    input_dtype = "float32"

    def vary(
        self, engine: Engine, others: Sequence[Any], images: Any, targets: Any, hyper: RuntimeHyperparameters
    ) -> tuple[Any, Any, tuple[Any, ...]]:
        """Features and targets as they are."""
        del engine, hyper
        return images, targets, tuple(others)


class SplitNetwork:
    """The head of a network with a training step of its own, and the way between its state and that of the whole.

    Where a batch is computed in `parts`, that step cuts it too, and the frozen part sees as many fewer images a call.
    """

    def __init__(
        self, network: Network, frozen: FrozenBoundary, engine: Engine, watches_loss: bool, parts: int = 1
    ) -> None:
        model = network.model
        self.key, self.width = frozen.key, int(frozen.end.shape[-1])
        self.head = HeadNetwork(keras.Model(frozen.end, model.output), network.outputs)
        self.step = TrainingStep(self.head, engine, watches_loss, parts)
        self.has_seen = False
        self._images_per_call = max(1, BATCH_IMAGES // parts)
        self._body = Network(keras.Model(model.input, frozen.end), network.outputs)
        self._trained = _places(network.weights, network.sizes, self.head.weights)
        self._still = _places(network.weights, network.sizes, self._body.weights)
        numbers = {id(variable): index for index, variable in enumerate(network.others)}
        # The head's augmentation is nobody's: its variables stay as they were made.
        self._others = [numbers.get(id(variable)) for variable in self.head.others]
        self._own = [ops.convert_to_tensor(variable) for variable in self.head.others]
        self._still_others = [numbers[id(variable)] for variable in self._body.model.non_trainable_variables]
        images, state = keras.KerasTensor(model.input_shape, "uint8"), network.state_signature
        self._seen = engine.compile(self._see, [state.moments.weights, state.others, images])

    def features(self, state: State, split: Split) -> np.ndarray:
        """What the frozen part makes of each image, in inference mode, float32 (N, features)."""
        count, size = len(split.labels), self._images_per_call
        found = np.empty((count, self.width), np.float32)
        for start in range(0, count, size):
            # Every batch has one size, filled up with the last image, so that nothing is compiled twice.
            images = split.images[np.minimum(np.arange(start, start + size), count - 1)]
            seen = ops.convert_to_numpy(self._seen(state.moments.weights, state.others, images))
            found[start : start + size] = seen[: count - start]
        self.has_seen = True
        return found

    def taken(self, state: State) -> State:
        """The head's share of the whole network's state."""
        moments = state.moments._replace(
            **{name: self._cut(value) for name, value in state.moments._asdict().items()}
        )
        others = tuple(
            own if index is None else state.others[index]
            for own, index in zip(self._own, self._others, strict=True)
        )
        return State(state.step, moments, others)

    def put_back(self, state: State, head: State) -> State:
        """The whole network's state with the head's share of it replaced."""
        pairs = zip(state.moments._asdict().items(), head.moments, strict=True)
        moments = state.moments._replace(**{name: self._merged(value, new) for (name, value), new in pairs})
        others = list(state.others)
        for index, value in zip(self._others, head.others, strict=True):
            if index is not None:
                others[index] = value
        return State(head.step, moments, tuple(others))

    def cut_weights(self, weights: Any, others: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
        """The head's weights and other variables out of those of the whole network."""
        kept = zip(self._own, self._others, strict=True)
        return self._cut(weights), tuple(own if index is None else others[index] for own, index in kept)

    def _cut(self, flat: Any) -> Any:
        return flat if tuple(flat.shape) == (0,) else ops.take(flat, self._trained)

    def _merged(self, flat: Any, part: Any) -> Any:
        return flat if tuple(flat.shape) == (0,) else ops.scatter_update(flat, self._trained[:, None], part)

    def _see(self, weights: Any, others: Sequence[Any], images: Any) -> Any:
        own = self._body.unflatten(ops.take(weights, self._still))
        rest = [others[index] for index in self._still_others]
        seen, _ = self._body.model.stateless_call(own, rest, ops.cast(images, "float32"), training=False)
        return ops.cast(seen, "float32")


class HeadOnlyTraining:
    """Epochs in which nothing but the head learns, for one model: what they need beyond the model itself.

    The head's own step is compiled, and features are computed, when they are first asked for.
    """

    def __init__(
        self,
        network: Network,
        frozen: FrozenBoundary | None,
        engine: Engine,
        accelerated: bool,
        cache: FeatureCache,
        computation: ExecutionPlan,
    ) -> None:
        if frozen is not None:
            # Both decide how features are rounded, and a trial's must not hang on which trial computed them.
            frozen = frozen._replace(key=(frozen.key, computation.precision, computation.parts))
        self._network, self._frozen, self._engine = network, frozen, engine
        self._accelerated, self._cache, self._parts = accelerated, cache, computation.parts
        self._cut: SplitNetwork | None = None

    @property
    def traces(self) -> int:
        """How often the head's step was traced."""
        return self._cut.step.traces if self._cut else 0

    def takes(self, images: int) -> bool:
        """Whether there is a frozen part, and memory for its features of so many images."""
        return self._frozen is not None and self._cache.takes(images, int(self._frozen.end.shape[-1]))

    @property
    def cut(self) -> SplitNetwork:
        """The network cut in two."""
        if self._cut is None:
            assert self._frozen is not None
            watches_loss = not self._accelerated
            self._cut = SplitNetwork(self._network, self._frozen, self._engine, watches_loss, self._parts)
        return self._cut

    def prepare(self, state: State, splits: Sequence[Split]) -> ResourceUsage:
        """Compile what is needed for the features of splits, and compute them; what that took."""
        began = time.perf_counter()
        for split in splits:
            self._compile(state, split)
        compiled = time.perf_counter()
        for split in splits:
            self.seen(state, split)
        return ResourceUsage(compile_secs=compiled - began, input_wait_secs=time.perf_counter() - compiled)

    def seen(self, state: State, split: Split) -> tuple[Split, Feed]:
        """The split with its features for images, and a feed of it."""
        cut = self.cut
        return self._cache.get(cut.key, split, lambda: cut.features(state, split), self._accelerated)

    def _compile(self, state: State, split: Split) -> None:
        cut = self.cut
        # XLA compiles at the first call, which is then made in vain; not where another model has left the features.
        if self._engine.xla and not (cut.has_seen or self._cache.holds(cut.key, split)):
            cut.features(state, type(split)(images=split.images[:1], labels=split.labels[:1]))


def _places(
    variables: Sequence[keras.Variable], sizes: Sequence[int], wanted: Sequence[keras.Variable]
) -> np.ndarray:
    """Where the values of `wanted` lie in the flat vector of `variables`, int32."""
    starts = dict(zip(map(id, variables), np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
    size = dict(zip(map(id, variables), sizes, strict=True))
    spans = [np.arange(starts[id(v)], starts[id(v)] + size[id(v)]) for v in wanted]
    return np.concatenate([*spans, np.zeros(0, np.int64)]).astype(np.int32)
