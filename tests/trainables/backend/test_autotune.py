"""How to compute is measured where it matters, chosen with care for the simple, and remembered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from toprung.trainables.backend.autotune import (
    AutotuneStore,
    Device,
    TrialCost,
    choose_execution,
    execution_candidates,
    fastest,
)
from toprung.trainables.trial.execution import ExecutionPlan, ExecutionRequest

GPU = Device("NVIDIA A10", accelerated=True)
OPEN = ExecutionRequest()


# Trials so long that compiling does not count.
def long_trials() -> TrialCost:
    return TrialCost(models=1.0, steps=1e6)


class Model:
    """Takes the given seconds for a step, by precision and XLA; None: memory runs out. XLA compiles for `xla_secs`."""

    def __init__(
        self, secs: dict[tuple[str, bool], float | None], call_secs: float = 0.0, xla_secs: float = 0.0
    ) -> None:
        self.secs, self.call_secs, self.xla_secs, self.built = secs, call_secs, xla_secs, []

    def __call__(self, plan: ExecutionPlan) -> BuiltModel:
        self.built.append(plan)
        return BuiltModel(self, plan)


class BuiltModel:
    """One model; the first of a process takes a minute more than it would later."""

    def __init__(self, model: Model, plan: ExecutionPlan) -> None:
        self.secs = model.secs[plan.precision, plan.xla]
        self.call_secs = model.call_secs
        self.ready_secs = 1.0 + (60.0 if len(model.built) == 1 else 0.0)
        self.ready_secs += model.xla_secs if plan.xla else 0.0

    def secs_per_step(self, steps_per_call: int | None) -> float:
        if self.secs is None:
            raise MemoryError("no room")
        return self.secs + self.call_secs / (steps_per_call or 256)


FASTEST_MIXED = {
    ("float32", False): 4.0,
    ("float32", True): 3.0,
    ("mixed_bfloat16", False): 3.5,
    ("mixed_bfloat16", True): 2.0,
}


def build_nothing(_: ExecutionPlan) -> BuiltModel:
    raise AssertionError("nothing may be built")


def test_on_a_cpu_float32_without_xla_is_chosen_without_timing() -> None:
    assert choose_execution(OPEN, Device(), build_nothing, long_trials) == ExecutionPlan("float32", xla=False)
    request = ExecutionRequest("mixed_bfloat16", xla=True, steps_per_call=5)
    assert choose_execution(request, Device(), build_nothing, long_trials) == ExecutionPlan(
        "mixed_bfloat16", xla=True, steps_per_call=5
    )


def test_on_an_accelerator_the_fastest_is_chosen() -> None:
    model = Model(FASTEST_MIXED)
    assert choose_execution(OPEN, GPU, model, long_trials) == ExecutionPlan("mixed_bfloat16", xla=True)
    assert len(set(model.built)) == 4


@pytest.mark.parametrize(
    ("models", "steps", "pays"), [(1.0, 50, False), (1.0, 200, True), (0.1, 50, True), (0.1, 8, False)]
)
def test_xla_has_to_save_what_it_takes_to_compile_in_trials_as_long_as_those_of_the_search(
    models: float, steps: int, pays: bool
) -> None:
    """XLA saves a second a step and takes 100 to compile: it pays past 100 steps a model."""
    model = Model({("float32", False): 4.0, ("float32", True): 3.0}, xla_secs=100.0)
    request = ExecutionRequest("float32", steps_per_call=16)
    assert choose_execution(request, GPU, model, lambda: TrialCost(models, steps)).xla is pays


def test_what_a_process_loads_with_its_first_model_does_not_count() -> None:
    """The plain one comes first and would look a minute slower than it is."""
    model = Model({("float32", False): 4.0, ("float32", True): 3.9}, xla_secs=30.0)
    request = ExecutionRequest("float32", steps_per_call=16)
    assert not choose_execution(request, GPU, model, lambda: TrialCost(1.0, 50)).xla
    assert [built.xla for built in model.built] == [False, False, True]


def test_what_the_job_states_is_not_timed() -> None:
    model = Model(FASTEST_MIXED)
    assert choose_execution(ExecutionRequest("float32"), GPU, model, long_trials).precision == "float32"
    assert {c.precision for c in model.built} == {"float32"}
    assert execution_candidates(ExecutionRequest(xla=False), GPU) == [
        ExecutionPlan("float32"),
        ExecutionPlan("mixed_bfloat16"),
    ]
    assert {c.xla for c in execution_candidates(OPEN, Device("TPU", True, always_xla=True))} == {True}


def test_where_the_job_states_everything_nothing_is_built() -> None:
    request = ExecutionRequest("float32", xla=True, steps_per_call=4)
    assert choose_execution(request, GPU, build_nothing, long_trials) == ExecutionPlan(
        "float32", xla=True, steps_per_call=4
    )


def test_calls_are_as_long_as_pays() -> None:
    assert (
        choose_execution(OPEN, GPU, Model(FASTEST_MIXED, call_secs=1.0), long_trials).steps_per_call is None
    )
    assert (
        choose_execution(OPEN, GPU, Model(FASTEST_MIXED, call_secs=-100.0), long_trials).steps_per_call == 16
    )
    assert (
        choose_execution(
            ExecutionRequest(steps_per_call=9), GPU, Model(FASTEST_MIXED, -100.0), long_trials
        ).steps_per_call
        == 9
    )


def test_a_small_gain_does_not_outweigh_simplicity() -> None:
    assert fastest([("simple", 1.0), ("other", 0.97)]) == "simple"
    assert fastest([("simple", 1.0), ("other", 0.9), ("third", 0.88)]) == "other"


def test_what_runs_out_of_memory_is_left_out_and_the_last_error_raised_when_all_do() -> None:
    model = Model({**FASTEST_MIXED, ("mixed_bfloat16", True): None})
    assert choose_execution(OPEN, GPU, model, long_trials) == ExecutionPlan("float32", xla=True)
    with pytest.raises(MemoryError):
        choose_execution(OPEN, GPU, Model(dict.fromkeys(FASTEST_MIXED)), long_trials)


def test_what_fits_only_into_a_new_process_is_left_out_too() -> None:
    class Shrinking(Model):
        def __call__(self, plan: ExecutionPlan) -> BuiltModel:
            if len(self.built) == 1:
                self.secs = {**self.secs, ("float32", False): None}
            return super().__call__(plan)

    model = Shrinking({("float32", False): 1.0, ("float32", True): 3.0})
    assert choose_execution(ExecutionRequest("float32", steps_per_call=16), GPU, model, long_trials).xla


def test_a_read_only_store_keeps_no_choice(tmp_path: Path) -> None:
    assert choose_execution(
        OPEN, GPU, Model(FASTEST_MIXED), long_trials, AutotuneStore(str(tmp_path), read_only=True)
    ).xla
    assert not list(tmp_path.iterdir())


def test_a_choice_is_remembered_for_its_device_and_its_request(tmp_path: Path) -> None:
    store = AutotuneStore(str(tmp_path / "plans"))
    first = choose_execution(OPEN, GPU, Model(FASTEST_MIXED), long_trials, store)
    assert (
        choose_execution(OPEN, GPU, build_nothing, long_trials, AutotuneStore(str(tmp_path / "plans")))
        == first
    )
    other = Model({**FASTEST_MIXED, ("float32", True): 1.0})
    assert choose_execution(OPEN, Device("NVIDIA H100", True), other, long_trials, store) == ExecutionPlan(
        "float32", xla=True
    )
    assert choose_execution(ExecutionRequest(xla=False), GPU, other, long_trials, store) != first


def test_a_choice_is_remembered_on_an_object_store(s3: Any) -> None:
    first = choose_execution(
        OPEN, GPU, Model(FASTEST_MIXED), long_trials, AutotuneStore(s3.uri("run/computation"))
    )
    assert (
        choose_execution(OPEN, GPU, build_nothing, long_trials, AutotuneStore(s3.uri("run/computation")))
        == first
    )


def test_a_damaged_file_of_a_choice_is_timed_again(tmp_path: Path) -> None:
    (tmp_path / "NVIDIA-A10.json").write_text('{"request": {}, "pl')
    assert choose_execution(OPEN, GPU, Model(FASTEST_MIXED), long_trials, AutotuneStore(str(tmp_path))).xla


def test_a_plan_survives_being_written_as_json() -> None:
    plan = ExecutionPlan("mixed_bfloat16", xla=True, steps_per_call=64, micro_batches=2)
    assert ExecutionPlan.from_json(plan.to_json()) == plan
