"""The share of a GPU that `gpus: auto` gives: as small as holds what a few configurations were measured to need."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.trainables.backend.gpu_memory import share_megabytes
from toprung.trainables.probes.gpu_probe import MARGIN, MAX_SHARING, GpuNeed, measure_need


@given(
    need_bytes=st.integers(1, 100 * 2**30),
    total=st.integers(4_000, 150_000),
    most=st.integers(1, 16),
)
def test_the_share_is_the_smallest_whose_cap_holds_the_need(need_bytes: int, total: int, most: int) -> None:
    def holds(share: float) -> bool:
        try:
            cap = share_megabytes(share, total)
        except ValueError:
            return False
        return cap is not None and cap * 2**20 >= need_bytes * MARGIN

    share = GpuNeed(need_bytes, total, 1).share(most)
    allowed = [1.0, *(int(1e4 / sharing) / 1e4 for sharing in range(2, min(most, MAX_SHARING) + 1))]
    assert share in allowed
    assert share == 1.0 or holds(share)
    assert not any(map(holds, (smaller for smaller in allowed if smaller < share)))


@pytest.mark.parametrize(
    ("need_gib", "share"), [(1, 0.25), (15, 0.25), (16, 0.3333), (30, 0.5), (40, 1.0), (100, 1.0)]
)
def test_shares_of_an_80_gib_gpu(need_gib: int, share: float) -> None:
    assert GpuNeed(need_gib * 2**30, 81_920, 8).share() == share


def test_cores_for_two_trials_a_gpu_make_no_more_than_two_share_it() -> None:
    assert GpuNeed(2**30, 81_920, 8).share(most=2) == 0.5
    assert GpuNeed(2**30, 81_920, 8).share(most=1) == 1.0


class Prober:
    """Counts what is tried; memory of a real device is what a CPU cannot show."""

    def __init__(self, breaks: str = "") -> None:
        self.tried: list[object] = []
        self._breaks = breaks

    def trainer_of(self, config: object) -> Prober:
        assert isinstance(config, dict)
        if config["name"] == self._breaks:
            raise MemoryError("a network for a larger GPU")
        self.tried.append(config["name"])
        return self

    def reset(self, config: object, seed: int) -> None: ...

    def try_out(self) -> None:
        self.tried.append("step")


def need(prober: Prober, peak: int = 2**30, total: int | None = 81_920) -> GpuNeed | None:
    configs = [{"name": "a"}, {"name": "b"}]
    return measure_need(prober.trainer_of, configs, lambda: peak, lambda: total)


def test_every_configuration_takes_a_step_before_the_peak_is_read() -> None:
    prober = Prober()
    assert need(prober) == GpuNeed(2**30, 81_920, 2)
    assert prober.tried == ["a", "step", "b", "step"]


def test_a_configuration_that_fails_is_left_out() -> None:
    assert need(Prober(breaks="b")) == GpuNeed(2**30, 81_920, 1)


@pytest.mark.parametrize("reported", [{"peak": 0}, {"total": None}])
def test_no_need_where_the_device_reports_nothing(reported: dict) -> None:
    assert need(Prober(), **reported) is None


@pytest.mark.slow
def test_trying_out_leaves_the_trial_as_it_was(new_trainer: Callable, config: dict, noise) -> None:
    import numpy as np

    trainer = new_trainer(config, noise)
    trainer.reset(config, 3)
    before = trainer.state()
    trainer.try_out()
    after = trainer.state()
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
