"""Trainers kept per structure, and models of the user's own."""

from __future__ import annotations

import math

import numpy as np
import pytest

from toprung.spaces.errors import InputError
from toprung.trainables.task.task import Task

pytestmark = pytest.mark.slow


class SoftmaxFamily:
    """A user's whole file: stock layers, a softmax at the end, an L2 penalty, a max-norm constraint."""

    def space(self, trial):
        return {"units": trial.suggest_int("units", 2, 8), "learning_rate": 0.01}

    def build(self, config, task):
        import keras

        return keras.Sequential(
            [
                keras.Input(task.image_shape),
                keras.layers.Flatten(),
                keras.layers.Rescaling(1 / 255),
                keras.layers.Dense(
                    config["units"],
                    activation="relu",
                    kernel_regularizer=keras.regularizers.L2(config.get("penalty", 0.0)),
                    kernel_constraint=keras.constraints.MaxNorm(config.get("max_norm", 1e9)),
                ),
                keras.layers.Dropout(0.1),
                keras.layers.Dense(len(task.classes), activation="softmax"),
            ]
        )


class PretrainedFamily(SoftmaxFamily):
    """Starts its first dense layer from given weights."""

    def build(self, config, task):
        model = super().build(config, task)
        model.layers[2].kernel.assign(np.full(model.layers[2].kernel.shape, 0.125))
        return model

    def pretrained(self, model):
        return [model.layers[2]]


class UnbuiltFamily(SoftmaxFamily):
    def build(self, config, task):
        import keras

        return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])


class OneOutputFamily(SoftmaxFamily):
    def build(self, config, task):
        import keras

        return keras.Sequential(
            [keras.Input(task.image_shape), keras.layers.Flatten(), keras.layers.Dense(1)]
        )


def new_trainer(family, config: dict, task: Task):
    from toprung.trainables.training.trainer import Trainer

    return Trainer(family, config, task)


def test_equal_structures_share_a_trainer_and_the_least_recently_used_goes_first(
    noise: Task, config: dict
) -> None:
    from toprung.trainables.models.cnn import CnnFamily
    from toprung.trainables.training.trainer_cache import TrainerCache

    cache, family = TrainerCache(capacity=2), CnnFamily()
    one = cache.trainer(family, config, noise)
    assert (
        cache.trainer(family, {**config, "dropout": 0.4, "optimizer": "sgd", "batch_size": 8}, noise) is one
    )
    two = cache.trainer(family, {**config, "filters": 4}, noise)
    assert two is not one
    assert cache.trainer(family, config, noise) is one
    cache.trainer(family, {**config, "filters": 5}, noise)
    assert len(cache) == 2
    assert cache.trainer(family, config, noise) is one
    assert cache.trainer(family, {**config, "filters": 4}, noise) is not two


def test_a_trainer_between_two_trials_holds_no_state(noise: Task, config: dict) -> None:
    from toprung.trainables.models.cnn import CnnFamily
    from toprung.trainables.training.trainer_cache import TrainerCache

    cache, family = TrainerCache(), CnnFamily()
    one = cache.trainer(family, config, noise)
    one.reset(config, 1)
    one.train_epoch(1)
    curve = [one.train_epoch(2)]
    assert cache.trainer(family, config, noise) is one
    assert one.state()["step"] > 0, "the same trainer may continue its trial"
    cache.trainer(family, {**config, "filters": 4}, noise)
    with pytest.raises(ValueError, match="KerasTensor"):
        one.state()
    assert cache.trainer(family, config, noise) is one
    one.reset(config, 1)
    one.train_epoch(1)
    curve.append(one.train_epoch(2))
    assert curve[0]["val_loss"] == curve[1]["val_loss"] and one.traces == 1


def test_on_an_accelerator_the_first_structure_decides_the_plan_of_all(
    noise: Task, config: dict, tmp_path, monkeypatch
) -> None:
    """A CPU that calls itself an accelerator: what is built and timed is real."""
    from toprung.trainables.backend.autotune import AutotuneStore, Device
    from toprung.trainables.models.cnn import CnnFamily
    from toprung.trainables.training import trainer_cache as module
    from toprung.trainables.trial.execution import ExecutionPlan, ExecutionRequest

    monkeypatch.setattr(module, "device", lambda: Device("pretended", accelerated=True))
    request, store = ExecutionRequest(xla=False), AutotuneStore(str(tmp_path))
    cache = module.TrainerCache(request=request, store=store)
    first = cache.trainer(CnnFamily(), config, noise)
    assert len(cache) == 1, "the candidates that were not chosen are dropped"
    assert store.read("pretended", request) == first.execution_plan
    second = cache.trainer(CnnFamily(), {**config, "filters": 4}, noise)
    assert second.execution_plan == first.execution_plan
    cut = cache.trainer(CnnFamily(), config, noise, first.execution_plan, min_micro_batches=2)
    assert cut is not first and cut.execution_plan.micro_batches == 2
    given = ExecutionPlan("mixed_bfloat16" if first.execution_plan.precision == "float32" else "float32")
    assert cache.trainer(CnnFamily(), config, noise, given).execution_plan == given


def test_a_model_that_fits_in_micro_batches_alone_is_timed_in_them(
    noise: Task, config: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toprung.trainables.backend.autotune import Device
    from toprung.trainables.models.cnn import CnnFamily
    from toprung.trainables.training import trainer_cache as module
    from toprung.trainables.training.trainer import Trainer
    from toprung.trainables.trial.execution import ExecutionRequest

    def try_out(trainer: Trainer) -> None:
        if trainer.execution_plan.micro_batches == 1:
            raise MemoryError("no room")

    monkeypatch.setattr(module, "device", lambda: Device("pretended", accelerated=True))
    monkeypatch.setattr(Trainer, "try_out", try_out)
    cache = module.TrainerCache(request=ExecutionRequest("float32", xla=False))
    with pytest.raises(MemoryError):
        cache.trainer(CnnFamily(), config, noise)
    cache.clear()
    trainer = cache.trainer(CnnFamily(), config, noise, min_micro_batches=2)
    assert trainer.execution_plan.micro_batches == 2 and len(cache) == 1


def test_the_plan_is_chosen_for_the_trials_of_the_search(
    noise: Task, config: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toprung.trainables.backend.autotune import Workload
    from toprung.trainables.models.cnn import CnnFamily
    from toprung.trainables.training import trainer_cache as module
    from toprung.trainables.trial.execution import ExecutionPlan

    costs: list[tuple[float, float]] = []

    def choose(_request, _device, _build, trial_cost, _store):
        costs.append(trial_cost())
        return ExecutionPlan()

    monkeypatch.setattr(module, "choose_execution", choose)
    other_rate = {**config, "learning_rate": 0.5, "dropout": 0.3}
    examples = (config, other_rate, other_rate, {**config, "filters": 6})
    for workload in (Workload(3.0, examples), Workload(2.0)):
        module.TrainerCache(workload=workload).trainer(CnnFamily(), {**config, "batch_size": 20}, noise)
    assert costs == [(2 / 4, 3.0 * 3), (1.0, 2.0 * 3)], (
        "two structures in four trials; 50 images are 3 batches of 20"
    )


def test_a_trial_that_does_not_fit_is_trained_in_micro_batches(noise: Task, config: dict, tmp_path) -> None:
    import tensorflow as tf

    from toprung.trainables.models.cnn import CnnFamily
    from toprung.trainables.training.trainer_cache import TrainerCache
    from toprung.trainables.trial.messages import TrialStart
    from toprung.trainables.worker.checkpoints import CheckpointStore
    from toprung.trainables.worker.plan import Rules
    from toprung.trainables.worker.trial_runner import TrialRunner

    def run_out_of_memory(*_: object) -> None:
        message = (
            "OOM when allocating tensor with shape[32,64,8,8] and type float on /device:GPU:0 by allocator"
        )
        raise tf.errors.ResourceExhaustedError(None, None, message)

    class Source:
        def __init__(self) -> None:
            self.cache = TrainerCache()

        def trainer(self, config, plan, min_micro_batches):
            trainer = self.cache.trainer(CnnFamily(), config, noise, plan, min_micro_batches)
            if trainer.execution_plan.micro_batches == 1:
                trainer.compiled.step.compiled_run = run_out_of_memory
            return trainer

        def take_startup_secs(self) -> float:
            return 0.0

        def make_room(self) -> None:
            self.cache.clear()

    source = Source()
    run = TrialRunner(source, CheckpointStore(str(tmp_path)), Rules(max_epochs=2))
    run.begin(TrialStart("t00000", 0, 3, config))
    result = run.step()
    assert result.failure is None and result.report is not None and result.report.is_finite
    assert result.failed_allocation_bytes == 4 * 32 * 64 * 8 * 8
    assert result.execution is not None and result.execution.micro_batch_size == config["batch_size"] // 2
    assert len(source.cache) == 1
    run.begin(TrialStart("t00001", 1, 3, config))
    assert run.step().report.metrics["train_loss"] == result.report.metrics["train_loss"]


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_users_softmax_model_trains_exports_and_repeats(noise: Task, precision: str) -> None:
    from toprung.trainables.training.trainer import Trainer
    from toprung.trainables.trial.execution import ExecutionPlan

    config = {"units": 6, "learning_rate": 0.01}
    trainer = Trainer(SoftmaxFamily(), config, noise, plan=ExecutionPlan(precision))
    trainer.reset(config, 1)
    first = trainer.train_epoch(1)
    assert all(math.isfinite(value) for value in first.values())
    trainer.reset(config, 1)
    assert trainer.train_epoch(1)["val_loss"] == first["val_loss"]
    probabilities = np.asarray(trainer.export()(noise.val.images))
    rounding = 1e-5 if precision == "float32" else 2e-2
    assert probabilities == pytest.approx(trainer.evaluate(noise.val).probabilities, abs=rounding)


def test_a_layers_own_penalty_is_part_of_what_is_minimised(noise: Task) -> None:
    config = {"units": 6, "learning_rate": 0.05, "optimizer": "sgd"}
    kept, shrunk = (
        kernel_after_an_epoch({**config, "penalty": penalty}, noise, seed=1) for penalty in (0.0, 1.0)
    )
    assert np.linalg.norm(shrunk) < 0.9 * np.linalg.norm(kept)


def test_a_variables_constraint_holds_after_each_step(noise: Task) -> None:
    kernel = kernel_after_an_epoch({"units": 6, "learning_rate": 0.5, "max_norm": 0.25}, noise, seed=1)
    assert np.linalg.norm(kernel, axis=0).max() <= 0.25 * (1 + 1e-5)


def kernel_after_an_epoch(config: dict, task: Task, seed: int) -> np.ndarray:
    trainer = new_trainer(SoftmaxFamily(), config, task)
    trainer.reset(config, seed)
    trainer.train_epoch(1)
    return np.asarray(first_kernel(trainer, config))


def first_kernel(trainer, config: dict) -> np.ndarray:
    size = 8 * 8 * 3 * config["units"]
    return trainer.state()["optimizer/weights"][:size].reshape(-1, config["units"])


def test_weights_start_as_their_initializers_say(digits: Task) -> None:
    config = {"units": 8}
    trainer = new_trainer(SoftmaxFamily(), config, digits)
    trainer.reset(config, 5)
    weights = trainer.state()["optimizer/weights"]
    kernel, bias = weights[: 256 * 8], weights[256 * 8 : 256 * 8 + 8]
    limit = math.sqrt(6 / (256 + 8))  # Glorot's uniform
    assert np.abs(kernel).max() <= limit
    # The mean of 2048 uniform draws has a standard error of limit / sqrt(3 * 2048); five of them.
    assert abs(kernel.mean()) < 5 * limit / math.sqrt(3 * 2048)
    assert np.abs(kernel).max() > 0.95 * limit
    assert (bias == 0).all()
    trainer.reset(config, 6)
    assert not np.array_equal(trainer.state()["optimizer/weights"], weights)


def test_pretrained_layers_start_again_from_what_they_were_given(noise: Task) -> None:
    config = {"units": 4, "learning_rate": 0.1}
    trainer = new_trainer(PretrainedFamily(), config, noise)
    trainer.train_epoch(1)
    assert not (first_kernel(trainer, config) == 0.125).all()
    trainer.reset(config, 1)
    assert (first_kernel(trainer, config) == 0.125).all()


@pytest.mark.parametrize(
    "family,problem", [(UnbuiltFamily, "unbuilt"), (OneOutputFamily, "one output for each class")]
)
def test_a_model_that_cannot_be_trained_is_refused(noise: Task, family, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        new_trainer(family(), {}, noise)


def test_what_no_structure_changes_is_traced_once_for_all(noise: Task, config: dict, monkeypatch) -> None:
    from toprung.trainables.models.cnn import CnnFamily
    from toprung.trainables.training import network, step

    calls: list[str] = []

    def counted(name: str, function):
        def call(*arguments):
            calls.append(name)
            return function(*arguments)

        return call

    augment, vary = network.shared_augmentation(False, (None, *noise.image_shape))
    shared = augment, counted("vary", vary)
    monkeypatch.setattr(network, "shared_augmentation", lambda *_: shared)
    monkeypatch.setattr(step, "update", counted("update", step.update))
    for filters in (3, 4, 5):
        trainer = new_trainer(CnnFamily(), {**config, "filters": filters}, noise)
        assert math.isfinite(trainer.train_epoch(1)["train_loss"])
    assert sorted(calls) == ["update", "vary"]
