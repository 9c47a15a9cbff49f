"""Phases of a training: consecutive, cut at its end, the last one without an end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.trainables.models.family import phases_of
from toprung.trainables.models.phases import Phase, consecutive_phases, phase_at
from toprung.trainables.optimization.recipe import Recipe

PHASES = st.lists(
    st.builds(Phase, st.just(1), st.integers(0, 9), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=4
)


@given(planned=PHASES, max_epochs=st.integers(1, 30))
def test_phases_follow_one_another_and_end_with_the_training(planned: list[Phase], max_epochs: int) -> None:
    phases = consecutive_phases(planned, max_epochs)
    ends = [phase.first_epoch + phase.epochs for phase in phases]
    assert [phase.first_epoch for phase in phases] == [1, *ends[:-1]][: len(phases)]
    assert all(phase.epochs > 0 for phase in phases)
    assert sum(phase.epochs for phase in phases) == min(max_epochs, sum(phase.epochs for phase in planned))


@given(planned=PHASES, max_epochs=st.integers(1, 30), epoch=st.integers(1, 60))
def test_an_epoch_belongs_to_the_phase_that_began_last(
    planned: list[Phase], max_epochs: int, epoch: int
) -> None:
    phases = consecutive_phases([Phase(1, 1, open_share=0.0), *planned], max_epochs)
    begun = [phase for phase in phases if phase.first_epoch <= epoch]
    assert phase_at(phases, epoch) == begun[-1]


def test_a_family_without_a_plan_trains_everything_in_one_phase() -> None:
    assert phases_of(object(), {}, 9) == (Phase(1, 9, open_share=1.0, rate=1.0),)


@pytest.mark.slow
@pytest.mark.parametrize("interrupted_after", [None, 3, 4, 7])
def test_a_phase_does_not_pay_for_the_losses_of_the_one_before(interrupted_after: int | None) -> None:
    from toprung.trainables.training.epoch_schedule import EpochSchedule
    from toprung.trainables.training.feature_cache import KeptFeatures

    def new_schedule() -> EpochSchedule:
        recipe = Recipe(schedule="plateau", learning_rate=1.0, warmup_share=0.0)
        phases = (Phase(1, 3, augmented=False), Phase(4, 9, rate=0.1))
        return EpochSchedule(recipe, phases, 10, (1.0,), KeptFeatures())

    schedule, rates = new_schedule(), []
    for epoch, loss in enumerate([0.5, 0.3, 0.2, 0.6, 0.5, 0.4, 0.3, 0.3, 0.3, 0.3, 0.3], start=1):
        schedule.enter(epoch)
        rates.append(float(schedule.hyperparameters.peak_rate))
        schedule.observe_loss(loss)
        if epoch == interrupted_after:
            saved, schedule = schedule.state(), new_schedule()
            schedule.load_state(saved)
    assert rates == pytest.approx([1.0] * 3 + [0.1] * 7 + [0.1 / 3])
