"""A share of a GPU is a cap on memory, and all shares with what each process needs besides fit into it."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.trainables.backend.gpu_memory import (
    CONTEXT_MEGABYTES,
    MIN_MEGABYTES,
    VISIBLE_DEVICES,
    apply_memory_cap,
    hide_gpus,
    share_megabytes,
)


@given(workers=st.integers(2, 8), total=st.integers(12_000, 150_000))
def test_all_workers_of_a_gpu_fit_into_it(workers: int, total: int) -> None:
    cap = share_megabytes(1 / workers, total)
    assert cap is not None
    assert workers * (cap + CONTEXT_MEGABYTES) <= total


@pytest.mark.parametrize("share", [0.0, 1.0, 2.0])
def test_only_a_part_of_a_gpu_is_capped(share: float) -> None:
    assert share_megabytes(share, 80_000) is None
    assert apply_memory_cap(share) is None


def test_a_share_too_small_to_train_in_is_refused() -> None:
    smallest = (CONTEXT_MEGABYTES + MIN_MEGABYTES) / 16_000
    assert share_megabytes(smallest, 16_000) == MIN_MEGABYTES
    with pytest.raises(ValueError, match="must leave 256"):
        share_megabytes(smallest / 2, 16_000)


def test_a_worker_without_a_gpu_sees_none_where_ray_leaves_them_visible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("HIP_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("ROCR_VISIBLE_DEVICES", raising=False)
    hide_gpus()
    assert {os.environ.pop(name) for name in VISIBLE_DEVICES} == {""}
