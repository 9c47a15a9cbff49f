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
    least,
)
from toprung.trainables.trial.execution import ExecutionPlan, ExecutionRequest

GPU = Device("NVIDIA A10", accelerated=True)
OPEN = ExecutionRequest()


# Trials as long as those of a search that stops none early: what compiling takes does not count.
def long() -> TrialCost:
    return TrialCost(models=1.0, steps=1e6)


class Model:
    """Takes the given seconds a step, by precision and XLA; None: has no memory for it. XLA compiles for `xla_secs`."""

    def __init__(
        self, secs: dict[tuple[str, bool], float | None], call_secs: float = 0.0, xla_secs: float = 0.0
    ) -> None:
        self.secs, self.call_secs, self.xla_secs, self.built = secs, call_secs, xla_secs, []

    def __call__(self, computation: ExecutionPlan) -> Built:
        self.built.append(computation)
        return Built(self, computation)


class Built:
    """One model; the first of a process takes a minute more than it would later."""

    def __init__(self, model: Model, computation: ExecutionPlan) -> None:
        self.secs = model.secs[computation.precision, computation.xla]
        self.call_secs = model.call_secs
        self.ready_secs = 1.0 + (60.0 if len(model.built) == 1 else 0.0)
        self.ready_secs += model.xla_secs if computation.xla else 0.0

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


def never(_: ExecutionPlan) -> Built:
    raise AssertionError("nothing is to be built")


def test_on_a_cpu_float32_without_xla_is_taken_without_measuring() -> None:
    assert choose_execution(OPEN, Device(), never, long) == ExecutionPlan("float32", xla=False)
    asked = ExecutionRequest("mixed_bfloat16", xla=True, steps_per_call=5)
    assert choose_execution(asked, Device(), never, long) == ExecutionPlan(
        "mixed_bfloat16", xla=True, steps_per_call=5
    )


def test_on_an_accelerator_the_fastest_is_taken() -> None:
    model = Model(FASTEST_MIXED)
    assert choose_execution(OPEN, GPU, model, long) == ExecutionPlan("mixed_bfloat16", xla=True)
    assert len(set(model.built)) == 4


@pytest.mark.parametrize(
    ("models", "steps", "pays"), [(1.0, 50, False), (1.0, 200, True), (0.1, 50, True), (0.1, 8, False)]
)
def test_xla_has_to_save_what_it_takes_to_compile_in_trials_as_long_as_those_of_the_search(
    models: float, steps: int, pays: bool
) -> None:
    """XLA saves a second a step and takes 100 to compile: it pays past 100 steps a model."""
    model = Model({("float32", False): 4.0, ("float32", True): 3.0}, xla_secs=100.0)
    asked = ExecutionRequest("float32", steps_per_call=16)
    assert choose_execution(asked, GPU, model, lambda: TrialCost(models, steps)).xla is pays


def test_what_a_process_loads_with_its_first_model_counts_against_none() -> None:
    """The plain one comes first and would look a minute slower than it is."""
    model = Model({("float32", False): 4.0, ("float32", True): 3.9}, xla_secs=30.0)
    asked = ExecutionRequest("float32", steps_per_call=16)
    assert not choose_execution(asked, GPU, model, lambda: TrialCost(1.0, 50)).xla
    assert [built.xla for built in model.built] == [False, False, True]


def test_what_the_job_says_is_not_measured() -> None:
    model = Model(FASTEST_MIXED)
    assert choose_execution(ExecutionRequest("float32"), GPU, model, long).precision == "float32"
    assert {c.precision for c in model.built} == {"float32"}
    assert execution_candidates(ExecutionRequest(xla=False), GPU) == [
        ExecutionPlan("float32"),
        ExecutionPlan("mixed_bfloat16"),
    ]
    assert {c.xla for c in execution_candidates(OPEN, Device("TPU", True, always_xla=True))} == {True}


def test_where_the_job_says_all_nothing_is_built() -> None:
    asked = ExecutionRequest("float32", xla=True, steps_per_call=4)
    assert choose_execution(asked, GPU, never, long) == ExecutionPlan("float32", xla=True, steps_per_call=4)


def test_calls_are_as_long_as_pays() -> None:
    assert choose_execution(OPEN, GPU, Model(FASTEST_MIXED, call_secs=1.0), long).steps_per_call is None
    assert choose_execution(OPEN, GPU, Model(FASTEST_MIXED, call_secs=-100.0), long).steps_per_call == 16
    assert (
        choose_execution(
            ExecutionRequest(steps_per_call=9), GPU, Model(FASTEST_MIXED, -100.0), long
        ).steps_per_call
        == 9
    )


def test_a_small_gain_does_not_outweigh_simplicity() -> None:
    assert least([("simple", 1.0), ("other", 0.97)]) == "simple"
    assert least([("simple", 1.0), ("other", 0.9), ("third", 0.88)]) == "other"


def test_what_has_no_memory_is_left_out_and_the_last_error_told() -> None:
    model = Model({**FASTEST_MIXED, ("mixed_bfloat16", True): None})
    assert choose_execution(OPEN, GPU, model, long) == ExecutionPlan("float32", xla=True)
    with pytest.raises(MemoryError):
        choose_execution(OPEN, GPU, Model(dict.fromkeys(FASTEST_MIXED)), long)


def test_what_had_memory_only_while_the_process_was_new_is_left_out_too() -> None:
    class Shrinking(Model):
        def __call__(self, computation: ExecutionPlan) -> Built:
            if len(self.built) == 1:
                self.secs = {**self.secs, ("float32", False): None}
            return super().__call__(computation)

    model = Shrinking({("float32", False): 1.0, ("float32", True): 3.0})
    assert choose_execution(ExecutionRequest("float32", steps_per_call=16), GPU, model, long).xla


def test_a_choice_may_be_read_without_being_made_for_others(tmp_path: Path) -> None:
    assert choose_execution(
        OPEN, GPU, Model(FASTEST_MIXED), long, AutotuneStore(str(tmp_path), read_only=True)
    ).xla
    assert not list(tmp_path.iterdir())


def test_a_choice_is_remembered_for_its_kind_of_device_and_its_wishes(tmp_path: Path) -> None:
    choices = AutotuneStore(str(tmp_path / "computation"))
    first = choose_execution(OPEN, GPU, Model(FASTEST_MIXED), long, choices)
    assert choose_execution(OPEN, GPU, never, long, AutotuneStore(str(tmp_path / "computation"))) == first
    other = Model({**FASTEST_MIXED, ("float32", True): 1.0})
    assert choose_execution(OPEN, Device("NVIDIA H100", True), other, long, choices) == ExecutionPlan(
        "float32", xla=True
    )
    assert choose_execution(ExecutionRequest(xla=False), GPU, other, long, choices) != first


def test_a_choice_is_remembered_on_an_object_store(s3: Any) -> None:
    first = choose_execution(OPEN, GPU, Model(FASTEST_MIXED), long, AutotuneStore(s3.uri("run/computation")))
    assert choose_execution(OPEN, GPU, never, long, AutotuneStore(s3.uri("run/computation"))) == first


def test_a_damaged_note_of_a_choice_is_measured_again(tmp_path: Path) -> None:
    (tmp_path / "NVIDIA-A10.json").write_text('{"request": {}, "pl')
    assert choose_execution(OPEN, GPU, Model(FASTEST_MIXED), long, AutotuneStore(str(tmp_path))).xla


def test_a_computation_survives_being_written_down() -> None:
    computation = ExecutionPlan("mixed_bfloat16", xla=True, steps_per_call=64, parts=2)
    assert ExecutionPlan.from_json(computation.to_json()) == computation
