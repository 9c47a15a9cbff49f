"""Batches of an epoch: every image, one size, fixed by the seed; and streaming that changes nothing."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from toprung.trainables.training.batches import StreamedFeed, epoch_order, steps_per_pass

SIZES = st.integers(1, 300)


@given(count=SIZES, batch=SIZES, seed=st.integers(0, 2**31 - 1), epoch=st.integers(1, 50))
def test_an_epoch_shows_every_image_in_batches_of_one_size(
    count: int, batch: int, seed: int, epoch: int
) -> None:
    order = epoch_order(count, batch, seed, epoch)
    assert order.shape == (steps_per_pass(count, batch), min(batch, count))
    assert set(order.ravel().tolist()) == set(range(count))
    assert (order == epoch_order(count, batch, seed, epoch)).all()


@given(count=SIZES, batch=SIZES, passes=st.integers(1, 4))
def test_each_pass_of_an_epoch_shows_every_image(count: int, batch: int, passes: int) -> None:
    order = epoch_order(count, batch, 0, 1, passes)
    steps = steps_per_pass(count, batch)
    assert order.shape == (passes * steps, min(batch, count))
    for begin in range(0, len(order), steps):
        assert set(order[begin : begin + steps].ravel().tolist()) == set(range(count))
    assert (order[:steps] == epoch_order(count, batch, 0, 1)).all()


def test_epochs_and_seeds_shuffle_differently() -> None:
    orders = [epoch_order(100, 10, seed, epoch).ravel().tolist() for seed in (0, 1) for epoch in (1, 2)]
    assert len({tuple(order) for order in orders}) == 4


@given(count=SIZES, batch=st.integers(1, 40), chunk_bytes=st.integers(1, 5000))
def test_streamed_chunks_hold_the_same_batches_in_order_and_one_shape(
    count: int, batch: int, chunk_bytes: int
) -> None:
    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1).repeat(4, axis=3)
    labels = np.arange(count, dtype=np.int32)
    order = epoch_order(count, batch, 0, 1)
    chunks = list(StreamedFeed(SimpleNamespace(images=images, labels=labels), chunk_bytes).chunks(order))
    seen = np.concatenate([chunk.labels[chunk.order[: chunk.steps]] for chunk in chunks])
    assert (seen == order).all()
    assert all((chunk.images[:, 0, 0, 0] == chunk.labels.astype(np.uint8)).all() for chunk in chunks)
    assert len({chunk.images.shape for chunk in chunks}) == 1
