"""Features that a frozen network computed of the splits in use, kept within a bound of memory."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from toprung.trainables.training.batches import CHUNK_BYTES, StreamedFeed, feed_for

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from toprung.trainables.task.task import Split
    from toprung.trainables.training.batches import Feed

MAX_BYTES = 2**30  # of each worker


class KeptFeatures(NamedTuple):
    """Whether features of a frozen part can be kept: of the validation images, and of the training images too."""

    val: bool = False
    train: bool = False


class FeatureCache:
    """Features of splits in `max_bytes` of memory; the least recently used go first."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._kept: OrderedDict[tuple[Hashable, int], tuple[Split, Split, Feed]] = OrderedDict()

    def fits(self, images: int, width: int) -> bool:
        """Whether `width` float32 features of so many images fit into the memory."""
        return 4 * width * images <= self.max_bytes

    def get(
        self, key: Hashable, split: Split, compute: Callable[[], np.ndarray], accelerated: bool
    ) -> tuple[Split, Feed]:
        """The features of a split, computed if they are not there.

        Args:
            key: Names the network that computes the features.
            split: Images and labels.
            compute: Computes the features, float32 (N, features).
            accelerated: Whether an accelerator trains on them.

        Returns:
            The split with features in the place of images, and a feed of it.
        """
        place = (key, id(split))  # the split is kept too, so that no other can get its id
        if place not in self._kept:
            features = type(split)(images=compute(), labels=np.asarray(split.labels))
            while self._kept and self._bytes + features.images.nbytes > self.max_bytes:
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
        """Free the memory."""
        self._kept.clear()

    @property
    def _bytes(self) -> int:
        return sum(features.images.nbytes for _, features, _ in self._kept.values())
